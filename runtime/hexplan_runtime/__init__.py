"""hexplan's runtime: it executes plans with torch.distributed, and measures what plans rest on."""

import os

# Names that DNS does not know, and peers that leave, are no news; torch reads this when it loads.
os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
