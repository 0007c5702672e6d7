"""Evaluates three tasks by lm-eval, through a server and by transformers, and writes down both.

It runs in lm-eval's own environment: `call_lm_eval.py URL MODEL_FOLDER TEXT_FILE OUT_FILE`. The
tasks are made of the text, so that nothing is downloaded.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}

MODEL = "austen-3m"
MAX_LENGTH = 512
NUM_DOCS = 12
BEGIN = 0
"""The token that begins a text. lm-eval takes it from servers by itself, but for the id 0."""
COMMON = """
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
doc_to_text: "{{{{text}}}}"
"""
TASKS = {
    "austen_choice": """
output_type: multiple_choice
doc_to_choice: "{{{{choices}}}}"
doc_to_target: 0
metric_list: [{{metric: acc}}, {{metric: acc_norm}}]
""",
    "austen_next": """
output_type: generate_until
doc_to_target: "{{{{choices[0]}}}}"
generation_kwargs: {{until: ["\\n\\n", "."], max_gen_toks: 24, temperature: 0, do_sample: false}}
metric_list: [{{metric: exact_match}}]
""",
    "austen_rolling": """
output_type: loglikelihood_rolling
doc_to_target: "{{{{text}}}}{{{{choices[0]}}}}"
metric_list: [{{metric: word_perplexity}}, {{metric: bits_per_byte}}]
""",
}


def write_tasks(text: str, folder: Path) -> None:
    """Make tasks of a text: some words, the words that follow, and words from elsewhere."""
    words, random, docs = text.split(), Random(3), []
    for _ in range(NUM_DOCS):
        at = random.randrange(len(words) - 60)
        length, others = random.randint(6, 40), [random.randrange(len(words)) for _ in range(3)]
        choices = [" " + " ".join(words[i : i + 3]) for i in (at + length, *others)]
        docs.append({"text": " ".join(words[at : at + length]), "choices": choices})
    data = folder / "docs.jsonl"
    data.write_text("".join(json.dumps(doc) + "\n" for doc in docs))
    for name, form in TASKS.items():
        text = f"task: {name}\n" + (COMMON + form).format(data=data)
        (folder / f"{name}.yaml").write_text(text)


def main() -> None:
    """Evaluate, and write the metrics and what each document got."""
    url, model_folder, text_file, out_file = sys.argv[1:]
    with TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["HF_HOME"] = str(folder / "hf")
        # Only now, as they read where they may keep files.
        import lm_eval
        from lm_eval.tasks import TaskManager

        write_tasks(Path(text_file).read_text(encoding="utf-8"), folder)
        manager = TaskManager(include_path=name, include_defaults=False)
        served = {
            "model": MODEL,
            "base_url": f"{url}/v1/completions",
            "max_length": MAX_LENGTH,
            "num_concurrent": 4,
            "custom_prefix_token_id": BEGIN,
        }
        direct = {"pretrained": model_folder, "dtype": "float32", "max_length": MAX_LENGTH}
        found = {}
        for kind, arguments, more in (
            ("local-completions", served, {"batch_size": 4}),
            ("hf", direct, {"batch_size": 1, "device": "cpu"}),
        ):
            results = lm_eval.simple_evaluate(
                kind,
                model_args=arguments,
                tasks=list(TASKS),
                task_manager=manager,
                bootstrap_iters=0,
                **more,
            )
            found[kind] = {
                "metrics": {task: results["results"][task] for task in TASKS},
                "answers": {
                    task: [sample["resps"] for sample in results["samples"][task]] for task in TASKS
                },
            }
        Path(out_file).write_text(json.dumps(found, default=str))


if __name__ == "__main__":
    main()
