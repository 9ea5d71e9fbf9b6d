"""Everything that speaks A1111's vocabulary: its routes, its JSON, its infotext."""

import sys

# httpx loads its own command line where rich and click are installed, as here: 4 MB and 60 ms that nobody uses, in a
# command that may sit beside a training all night. This is how it looks to httpx where they are not.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
