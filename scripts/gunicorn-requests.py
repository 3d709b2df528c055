"""Prints Gunicorn's collection of requests as JSON, read by Gunicorn's own code: scripts/gunicorn-requests.ts calls it
with the directory of an unpacked source package."""

import base64
import glob
import json
import os
import sys

package = sys.argv[1]
sys.path[:0] = [package, os.path.join(package, "tests")]

import treq  # noqa: E402
from gunicorn.config import Config  # noqa: E402

DEFAULTS = {name: setting.get() for name, setting in Config().settings.items()}


def text(body):
    return body.decode("latin-1") if isinstance(body, bytes) else body


def told(expected):
    return {
        "method": expected["method"],
        "target": expected["uri"]["raw"],
        "version": "%d.%d" % expected["version"],
        "fields": expected["headers"],
        "body": text(expected["body"]),
        "trailers": expected.get("trailers", []),
    }


def cases():
    for kind in ("valid", "invalid"):
        for path in sorted(glob.glob(os.path.join(package, "tests", "requests", kind, "*.http"))):
            env = treq.load_py(os.path.splitext(path)[0] + ".py")
            reader = treq.request(path, env["request"]) if kind == "valid" else treq.badrequest(path)
            yield {
                "name": kind + "/" + os.path.basename(path)[: -len(".http")],
                "bytes": base64.b64encode(reader.data).decode(),
                "requests": [told(each) for each in reader.expect] if kind == "valid" else None,
                "settings": {
                    name: value
                    for name, value in ((name, setting.get()) for name, setting in env["cfg"].settings.items())
                    if value != DEFAULTS[name] and isinstance(value, (bool, int, str, list)) and name != "http_parser"
                },
            }


print(json.dumps(list(cases())))
