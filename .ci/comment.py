#!/usr/bin/env python3
"""Comments a Markdown file on the pull request of this workflow, or updates the comment of an earlier run: `comment.py FILE KEY`.

A comment is known again by its author, who is whoever the token belongs to, and by its first line, which is not shown and holds
the key: anybody may write such a line. What keeps it from being written, such as a
token that may only read (pull requests from forks), is a warning: the job's verdict is the load test's.
"""
import json, os, re, sys, urllib.error, urllib.request

MOST = 65_000  # GitHub's limit is 65,536 characters
PAGES = 30  # of a hundred comments each


def ask(method, path, body=None):
    request = urllib.request.Request(
        os.environ["GITHUB_API_URL"].rstrip("/") + path, method=method, data=json.dumps(body).encode() if body is not None else None,
        headers={"authorization": "Bearer " + os.environ["TOKEN"], "accept": "application/vnd.github+json",
                 "content-type": "application/json", "x-github-api-version": "2022-11-28", "user-agent": "otload"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read() or b"null")


def pull_request():
    with open(os.environ["GITHUB_EVENT_PATH"], encoding="utf-8") as file:
        event = json.load(file)
    return event.get("number") if "pull_request" in event else None


def author():
    """Whose comments are our own. The token of a job, and of any app, may not ask who it is."""
    if os.environ.get("AUTHOR"):
        return os.environ["AUTHOR"]
    try:
        return ask("GET", "/user")["login"]
    except urllib.error.HTTPError as error:
        if error.code not in (401, 403, 404):
            raise
        return "github-actions[bot]"


def earlier(comments, marker, own):
    """The comment that an earlier run wrote, if there is one."""
    for page in range(1, PAGES + 1):
        found = ask("GET", f"{comments}?per_page=100&page={page}")
        for comment in found:
            if (comment.get("user") or {}).get("login") == own and (comment.get("body") or "").startswith(marker):
                return comment["id"]
        if len(found) < 100:
            return None
    return None


def command(text):
    """A text as the value of a workflow command, which ends with its line."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def main():
    text, key = open(sys.argv[1], encoding="utf-8").read(), re.sub(r"[^\w./ -]|--+", "_", sys.argv[2])
    number, repository = pull_request(), os.environ["GITHUB_REPOSITORY"]
    if number is None:
        print("this is no pull request: there is nothing to comment on")
        return
    marker = f"<!-- otload: {key} -->\n"
    link = f"\n\n[The whole run]({os.environ['GITHUB_SERVER_URL']}/{repository}/actions/runs/{os.environ['GITHUB_RUN_ID']}), with report.html as artifact\n"
    body = marker + text[:MOST - len(marker) - len(link)] + link
    try:
        comments = f"/repos/{repository}/issues/{number}/comments"
        if (known := earlier(comments, marker, author())) is not None:
            ask("PATCH", f"/repos/{repository}/issues/comments/{known}", {"body": body})
        else:
            ask("POST", comments, {"body": body})
    except (OSError, ValueError, KeyError) as error:
        hint = ""
        if isinstance(error, urllib.error.HTTPError) and error.code in (401, 403, 404):
            hint = "; the job needs `permissions: {pull-requests: write}`, which pull requests from forks do not get"
        print(f"::warning title=otload::{command(f'the pull request was not commented: {error}{hint}')}")


if __name__ == "__main__":
    main()
