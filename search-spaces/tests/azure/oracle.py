"""Says of each file named on standard input whether azure-ai-ml accepts it: one line of JSON each.

Files called `schedule…` are schedules, all others are jobs.

Needs `pip install azure-ai-ml==1.35.2`; no workspace, no credentials, no network. The second layer
calls a private method, hence the pinned version.
"""

import json
import logging
import sys
import warnings

warnings.filterwarnings("ignore")
logging.disable(logging.CRITICAL)

from azure.ai.ml import load_job  # noqa: E402  (after the logging is silenced)
from azure.ai.ml.entities._load_functions import load_schedule  # noqa: E402


def judge(path):
    try:
        load = load_schedule if path.startswith("schedule") else load_job
        job = load(path)  # layer 1: the schema
        job._to_rest_object()  # layer 2: names and references
        return {"file": path, "ok": True, "said": ""}
    except Exception as error:  # the tool raises whatever it likes, KeyError included
        return {"file": path, "ok": False, "said": f"{type(error).__name__}: {error}"[:300]}


for path in sys.stdin.read().split("\n"):
    if path:
        print(json.dumps(judge(path)), flush=True)
