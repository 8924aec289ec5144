"""A small server of the hub's protocol on the loopback address: repositories of small files, in memory."""

import base64
import hashlib
import json
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


class Hub(ThreadingHTTPServer):
    """A hub. `asked` has each request. `repos` has by name the commits, the newest last: dicts of files."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.repos, self.asked = {}, []
        Thread(target=self.serve_forever, args=[0.01], daemon=True).start()

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}"

    def files(self, repo, revision="main"):
        """Return the files of a commit, None if there is none."""
        commits = self.repos.get(repo, [])
        return next((files for files in reversed(commits) if revision in ("main", sha(files))), None)


def sha(files):
    return hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_): ...

    def answer(self, body, status=200, **headers):
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Length": len(body), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def missing(self, what="Repo"):
        self.answer({"error": f"{what} not found"}, 404, X_Error_Code=f"{what}NotFound")

    def do_GET(self):
        self.server.asked.append(self.path)
        path = self.path.split("?")[0]
        if m := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/(revision|tree)/([^/]+))?", path):
            files = self.server.files(m[1], m[3] or "main")
            if files is None:
                return self.missing("Revision" if m[1] in self.server.repos else "Repo")
            if m[2] == "tree":
                return self.answer([{"type": "file", "path": name, "size": len(data), "oid": hashlib.sha1(
                    data).hexdigest()} for name, data in files.items()])
            return self.answer({"id": m[1], "sha": sha(files), "siblings": [{"rfilename": name} for name in files]})
        m = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        files = m and self.server.files(m[1], m[2])
        if not files or m[3] not in files:
            return self.missing("Entry")
        data = files[m[3]]
        self.answer(data, ETag=f'"{hashlib.sha1(data).hexdigest()}"', X_Repo_Commit=sha(files))

    do_HEAD = do_GET

    def do_POST(self):
        self.server.asked.append(self.path)
        body, path = self.rfile.read(int(self.headers["Content-Length"])), self.path.split("?")[0]
        if path == "/api/repos/create":
            given = json.loads(body)
            name = f"{given.get('organization') or 'me'}/{given['name']}"
            self.server.repos.setdefault(name, [{".gitattributes": b""}])
            return self.answer({"url": f"{self.server.address}/{name}"})
        if path == "/api/validate-yaml":
            return self.answer({"errors": [], "warnings": []})
        repo, what = re.fullmatch(r"/api/models/([^/]+/[^/]+)/(preupload|commit)/main", path).groups()
        if what == "preupload":
            return self.answer({"files": [{"path": each["path"], "uploadMode": "regular", "shouldIgnore": False}
                                          for each in json.loads(body)["files"]]})
        files = dict(self.server.repos[repo][-1])
        for line in map(json.loads, body.splitlines()):
            if line["key"] == "file":
                files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            elif line["key"] == "deletedFile":
                del files[line["value"]["path"]]
        self.server.repos[repo].append(files)
        self.answer({"success": True, "commitOid": sha(files), "commitUrl": f"{self.server.address}/{repo}/commit/x"})
