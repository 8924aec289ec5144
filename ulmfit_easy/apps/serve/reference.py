"""The page `/docs`, made of the OpenAPI description. FastAPI's own page loads files of a network."""

import json

from ulmfit_easy.viz import escape

HEAD = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>ulmfit serve</title><style>body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;
padding:0 1rem}pre,code{background:#8882;border-radius:4px;padding:.1em .3em}pre{padding:.6em;overflow:auto}
td{padding:.1em .8em .1em 0;vertical-align:top}:root{color-scheme:light dark}</style>"""


def reference(api: dict, address: str) -> str:
    """Return the page for an OpenAPI description. `address` of the server ends with a slash."""
    schemas = api.get("components", {}).get("schemas", {})
    parts = [HEAD, f"<h1>{escape(api['info']['title'])}</h1><p>{escape(api['info']['description'])} ",
             '<a href="/">Try them in a browser</a>. For programs: <a href="/openapi.json">openapi.json</a>.</p>']
    for path, methods in api["paths"].items():
        for method, about in methods.items():
            parts.append(f"<h2>{method.upper()} {escape(path)}</h2><p>{escape(about.get('description', ''))}</p>")
            body = about.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
            example = schemas.get(body.get("$ref", "").split("/")[-1], {}).get("example")
            line = f"curl {address}{path[1:]}"
            if example:
                line += f" -H 'Content-Type: application/json' -d '{json.dumps(example)}'"
            parts.append(f"<pre>{escape(line)}</pre>")
            rows = [(f"?{each['name']}=", each.get("description", "")) for each in about.get("parameters", [])]
            rows += [(status, each["description"]) for status, each in about.get("responses", {}).items()]
            parts.append("<table>" + "".join(f"<tr><td><code>{escape(name)}</code><td>{escape(what)}"
                                             for name, what in rows) + "</table>")
    return "\n".join(parts)
