"""fakes3.py - a bucket that speaks as much of S3's protocol as files need, and takes no request that isn't signed as it must be

Debian has no store of this kind that starts within a test. Signatures are worked out by botocore, Amazon's own library, so they are not
what we think they are."""

import hashlib
import re
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from xml.sax.saxutils import escape

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from services import free_port

REGION, BUCKET = "us-east-1", "/files"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *words):
        pass

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in {"Content-Length": len(body), **headers}.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def is_signed(self, body):
        """As https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html has it."""
        store = self.server.store
        found = re.match(r"AWS4-HMAC-SHA256 Credential=([^/]+)/\d+/([^/]+)/s3/aws4_request, ?SignedHeaders=([^,]+), ?Signature=(\w+)$",
                         self.headers.get("Authorization", ""))
        if not found or found[1] != store.key or found[2] != REGION:
            return False
        names = found[3].split(";")
        if not {"host", "x-amz-content-sha256", "x-amz-date"} <= set(names) or self.headers["x-amz-content-sha256"] != hashlib.sha256(body).hexdigest():
            return False
        path, _, query = self.path.partition("?")
        request = AWSRequest(self.command, f"http://{self.headers['host']}{path}", {name: self.headers[name] for name in names if name != "host"},
                             params=dict(urllib.parse.parse_qsl(query)))
        request.context["timestamp"] = self.headers["x-amz-date"]
        auth = S3SigV4Auth(Credentials(store.key, store.secret), "s3", REGION)
        right = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
        return right == found[4]

    def handle_any(self):
        store = self.server.store
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if store.broken:
            self.answer(500, b"broken")
        elif not self.is_signed(body):
            store.refused += 1
            self.answer(403, b"SignatureDoesNotMatch")
        elif self.path.startswith(f"{BUCKET}?"):
            self.list(dict(urllib.parse.parse_qsl(self.path.partition("?")[2])))
        elif not self.path.startswith(f"{BUCKET}/"):
            self.answer(404, b"NoSuchBucket")
        elif self.command == "PUT":
            store.files[self.path[len(BUCKET) + 1:]] = (body, time.time())
            self.answer(200)
        else:
            self.file(self.path[len(BUCKET) + 1:])

    do_GET = do_PUT = do_HEAD = do_DELETE = handle_any

    def list(self, asked):
        files, most = self.server.store.files, int(asked["max-keys"])
        names = sorted(name for name in list(files) if name > asked.get("start-after", ""))
        entries = "".join(f"<Contents><Key>{escape(name)}</Key><LastModified>"
                          f"{time.strftime('%Y-%m-%dT%H:%M:%S.000Z', time.gmtime(files[name][1]))}</LastModified></Contents>" for name in names[:most])
        self.answer(200, f'<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult><Name>files</Name><IsTruncated>'
                         f"{str(len(names) > most).lower()}</IsTruncated>{entries}</ListBucketResult>".encode())

    def file(self, name):
        files = self.server.store.files
        if name not in files:
            self.answer(404, b"NoSuchKey")
            return
        if self.command == "DELETE":
            del files[name]
            self.answer(204)
            return
        data, at = files[name]
        when = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(at))
        asked = re.match(r"bytes=(\d+)-(\d+)$", self.headers.get("Range", ""))
        if not asked:
            self.answer(200, data, Last_Modified=when)
        elif int(asked[1]) >= len(data):
            self.answer(416, b"<Error><Code>InvalidRange</Code></Error>" * 100, Content_Range=f"bytes */{len(data)}")
        else:
            part = data[int(asked[1]):int(asked[2]) + 1]
            self.answer(206, part, Content_Range=f"bytes {asked[1]}-{int(asked[1]) + len(part) - 1}/{len(data)}", Last_Modified=when)


class FakeS3:
    """The bucket "files". Its files are name: (bytes, seconds since 1970); broken makes it answer 500."""

    def __enter__(self):
        self.key, self.secret, self.files, self.broken, self.refused = "AKIDTEST", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLE", {}, False, 0
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads, self.server.store = True, self
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *why):
        self.server.shutdown()
        self.server.server_close()
