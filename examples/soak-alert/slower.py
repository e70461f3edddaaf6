"""A server that gets slower: each answer takes 0.5% longer every 5 s, from 200 ms on.

    python3 examples/soak-alert/slower.py
"""

import http.server
import time

BEGAN = time.monotonic()


class Slower(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        time.sleep(0.2 * 1.005 ** ((time.monotonic() - BEGAN) / 5))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", 5001), Slower).serve_forever()
