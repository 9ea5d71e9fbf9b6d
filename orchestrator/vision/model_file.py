"""The one model file newer mediapipe needs: found, or fetched once and checked."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from orchestrator.errors import MissingExtra, OrchestratorError
from orchestrator.files import sha256_file, write_bytes

#: Published by Google for the FaceLandmarker task (float16, version 1).
URL = "https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/float16/1/face_landmarker.task"
SHA256 = "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff"
#: Names a model file to use instead of fetching one.
VARIABLE = "ORCHESTRATOR_FACE_MODEL"
_MOST_BYTES = 64 << 20


def model_path() -> Path:
    """Where the model file is, or would be put: `ORCHESTRATOR_FACE_MODEL`, else the user's cache folder."""
    import platformdirs

    named = os.environ.get(VARIABLE, "").strip()
    if named:
        return Path(named).expanduser()
    return Path(platformdirs.user_cache_dir("orchestrator", appauthor=False)) / "face_landmarker.task"


def fetch() -> Path:
    """The model file, fetched now when it is not there yet (about 4 MB).

    Raises `MissingExtra` when it cannot be fetched, is not the file we know, or the variable names a file that is not
    there.
    """
    path = model_path()
    if os.environ.get(VARIABLE, "").strip():
        if not path.is_file():
            raise _missing(f"{VARIABLE} names {path}, and there is no such file.")
        return path
    if path.is_file() and sha256_file(path) == SHA256:
        return path
    import requests

    try:
        data = bytearray()
        with requests.get(URL, stream=True, timeout=(8.0, 60.0)) as answer:
            answer.raise_for_status()
            for block in answer.iter_content(1 << 16):
                data += block
                if len(data) > _MOST_BYTES:
                    raise _missing(f"{URL} sends far more than the face model.")
    except requests.RequestException as error:
        raise _missing(f"the face model could not be fetched from {URL} ({type(error).__name__}).") from error
    if hashlib.sha256(data).hexdigest() != SHA256:
        raise _missing(f"what {URL} sent is not the face model we know (its checksum differs); it was not kept.")
    return write_bytes(path, bytes(data))


def _missing(why: str) -> OrchestratorError:
    error = MissingExtra("vision", "Faces", cause=why)
    error.fix = f"Fetch {URL} on a computer with a connection and name the file in {VARIABLE}."
    return error
