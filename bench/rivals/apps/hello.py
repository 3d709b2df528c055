"""The response of all rivals, for the servers of Python: WSGI, and RSGI of Granian."""

BODY = b"Hello, World!"


def wsgi(environ, start_response):
    fields = [("content-type", "text/plain"), ("content-length", str(len(BODY)))]
    start_response("200 OK", fields)
    return [BODY]


async def app(scope, protocol):
    protocol.response_bytes(200, [("content-type", "text/plain")], BODY)
