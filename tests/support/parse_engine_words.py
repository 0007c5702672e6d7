"""Run by a Python that has an engine: parses words as the engine does, and prints what it read."""

from __future__ import annotations

import argparse
import json
import sys

KEPT = (
    *("tensor_parallel_size", "pipeline_parallel_size", "nnodes", "node_rank", "master_addr"),
    *("master_port", "device_ids", "headless", "max_model_len", "max_num_seqs", "host", "port"),
    *("tp_size", "pp_size", "dist_init_addr", "context_length", "chunked_prefill_size"),
    *("model_tag", "model_path", "served_model_name", "distributed_executor_backend"),
)


def parser(engine: str) -> argparse.ArgumentParser:
    """Return the engine's own parser; without a GPU, vLLM is told that it is on a CPU."""
    if engine == "sglang":
        from sglang.srt.server_args import ServerArgs  # type: ignore[import-not-found]

        found = argparse.ArgumentParser()
        ServerArgs.add_cli_args(found)
        return found
    import vllm.platforms  # type: ignore[import-not-found]
    from vllm.platforms.cpu import CpuPlatform  # type: ignore[import-not-found]

    vllm.platforms._current_platform = CpuPlatform()
    from vllm.entrypoints.common.cli_args import make_arg_parser  # type: ignore[import-not-found]
    from vllm.utils.argparse_utils import FlexibleArgumentParser  # type: ignore[import-not-found]

    found = make_arg_parser(FlexibleArgumentParser())
    assert isinstance(found, argparse.ArgumentParser)
    return found


def main() -> None:
    """Parse each list of words on stdin, and print what was read as JSON on the last line."""
    engine = sys.argv[1]
    found = parser(engine)
    read = [vars(found.parse_args(words)) for words in json.load(sys.stdin)]
    kept = [{name: one[name] for name in KEPT if name in one} for one in read]
    sys.stdout.write("\n" + json.dumps(kept, default=str) + "\n")


if __name__ == "__main__":
    main()
