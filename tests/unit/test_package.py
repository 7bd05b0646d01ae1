import json
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
IGNORE_FILE = ROOT / ".funcignore"
# What lies about in a working copy; `shared/` is where Core Tools' reading of a directory's name must reach too.
LEFT_OVERS = (
    ".azure/production/.env",
    ".coverage",
    ".git/config",
    ".venv/bin/python",
    "__pycache__/function_app.cpython-313.pyc",
    "local.settings.json",
    "package.zip",
    "package/host.json",
    "shared/__pycache__/logs.cpython-313.pyc",
    "shared/graph/__pycache__/wire.cpython-313.pyc",
    "tests/azurite/node_modules/azurite/package.json",
)


def run_git(*words: str, cwd: Path = ROOT, given: str = "") -> list[str]:
    """Return the lines that git writes; finding nothing is no failure."""
    command = ("git", *words)
    done = subprocess.run(command, cwd=cwd, input=given, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603 - literal words
    assert done.returncode in {0, 1}, done.stderr
    return done.stdout.splitlines()


def left_by_git(paths: list[str], empty: Path) -> set[str]:
    """Return what the patterns leave as git reads them, which is how azd does; `empty` has no patterns of its own."""
    run_git("init", "--quiet", cwd=empty)
    words = ("-c", f"core.excludesFile={IGNORE_FILE}", "check-ignore", "--no-index", "--stdin")
    return set(paths) - set(run_git(*words, cwd=empty, given="\n".join(paths)))


def left_by_core_tools(paths: list[str]) -> set[str]:
    """Return what the patterns leave as Core Tools reads them: each is the beginning of a path, `*` stops at a `/`."""
    lines = [line for line in IGNORE_FILE.read_text().splitlines() if line and not line.startswith("#")]
    beginnings = [re.escape(line).replace(r"\*\*", ".+").replace(r"\*", "[^/]+") for line in lines]
    return {path for path in paths if not any(re.match(beginning, path) for beginning in beginnings)}


def test_package_whoever_makes_it_then_holds_what_runs_and_nothing_else(tmp_path: Path) -> None:
    """Tests, sandbox and documents never reach Azure, and no module is left behind, with azd and with Core Tools."""
    tracked = run_git("ls-files", "--cached")
    expected = {
        path
        for path in tracked
        if path.startswith("shared/") or path in {"function_app.py", "host.json", "requirements.txt"}
    }
    assert {"function_app.py", "host.json", "requirements.txt", "shared/service.py"} <= expected
    assert left_by_git([*tracked, *LEFT_OVERS], tmp_path) == expected
    assert left_by_core_tools([*tracked, *LEFT_OVERS]) == expected


def test_azd_when_it_looks_for_the_app_then_service_and_tag_agree() -> None:
    """By the tag azd finds what it brings the code to; without it a deployment ends with nothing found."""
    services = (ROOT / "azure.yaml").read_text().partition("services:\n")[2]
    tags = re.findall(r"'azd-service-name': '([^']+)'", (ROOT / "infra/modules/app.bicep").read_text())
    assert re.findall(r"^  (\w+):", services, re.MULTILINE) == tags
    described = dict(re.findall(r"^    (\w+): (\S+)", services, re.MULTILINE))
    assert described == {"project": ".", "host": "function", "language": "python", "remoteBuild": "true"}


def test_azd_when_it_reads_the_parameters_then_it_has_to_ask_for_the_mode_and_who_is_never_touched() -> None:
    """Neither is to be defaulted; tests/infra looks at the others with the compiler."""
    given = json.loads((ROOT / "infra/main.parameters.json").read_text())["parameters"]
    template = (ROOT / "infra/main.bicep").read_text()
    required = re.findall(r"^param (\w+) [^=\n]+$", template, re.MULTILINE)
    assert set(required) - set(given) == {"mode", "neverUsers"}
