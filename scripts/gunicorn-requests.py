"""Prints Gunicorn's collection of requests as JSON, using Gunicorn's own code to read them.

scripts/gunicorn-requests.ts runs it with the directory of an unpacked source package.
"""

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


def parsed_request(expected):
    return {
        "method": expected["method"],
        "target": expected["uri"]["raw"],
        "version": "%d.%d" % expected["version"],
        "fields": expected["headers"],
        "body": text(expected["body"]),
        "trailers": expected.get("trailers", []),
    }


def changed_settings(config):
    values = ((name, setting.get()) for name, setting in config.settings.items())
    return {
        name: value
        for name, value in values
        if value != DEFAULTS[name]
        and isinstance(value, (bool, int, str, list))
        and name != "http_parser"
    }


def cases():
    for kind in ("valid", "invalid"):
        for path in sorted(glob.glob(os.path.join(package, "tests", "requests", kind, "*.http"))):
            env = treq.load_py(os.path.splitext(path)[0] + ".py")
            is_valid = kind == "valid"
            reader = treq.request(path, env["request"]) if is_valid else treq.badrequest(path)
            yield {
                "name": kind + "/" + os.path.basename(path)[: -len(".http")],
                "bytes": base64.b64encode(reader.data).decode(),
                "requests": [parsed_request(each) for each in reader.expect] if is_valid else None,
                "settings": changed_settings(env["cfg"]),
            }


print(json.dumps(list(cases())))
