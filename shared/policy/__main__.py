"""`python -m shared.policy`: check a policy before it is deployed, and say what it means."""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from shared.command_line import begin
from shared.errors import SettingsError
from shared.policy import Policy, Profile, parse_policy
from shared.vocabulary import ProfileName, Step, in_safe_order

SOUND, UNSOUND, WRONG = 0, 1, 2  # exit statuses

_ABOUT = "Check a policy before it is deployed, and say what it means."
_PREFIX = "MFA_RESET_POLICY: "  # how the app names a problem, which knows of no file
_EPILOGUE = """\
The file is read as the app reads MFA_RESET_POLICY. A deployment finds little of what the app would refuse, and takes
the last of two keys of one name without a word. What it puts into the policy besides is checked when the app starts.
Exit status: 0 sound, 1 not sound (every problem a line on stderr), 2 there was no text to read, or called wrongly.
"""


def describe(policy: Policy) -> str:
    """Say in a few lines what a policy does, to whom, and for whom."""
    never = f"{_count(policy.never.users, 'user')}, {_count(policy.never.groups, 'group')}"
    lines = [
        f"mode: {policy.mode} (a deployment puts its own in its place)",
        f"never: {never} (a deployment adds its own)",
    ]
    for name, profile in policy.profiles.items():
        lines += _describe_profile(policy, name, profile)
    return "\n".join(lines)


def _describe_profile(policy: Policy, name: ProfileName, profile: Profile) -> list[str]:
    methods = profile.methods if isinstance(profile.methods, str) else ", ".join(profile.methods)
    return [
        f"profile {name}",
        f"  methods removed: {methods or 'none'}",
        f"  steps: {_steps(profile.steps)}",
        f"  administrators: {_say_of_administrators(policy, profile)}",
        f"  asked for by: {', '.join(caller for caller in policy.callers if policy.may_ask_for(caller, name))}",
    ]


def _say_of_administrators(policy: Policy, profile: Profile) -> str:
    if profile.privileged == "allow":
        return "reset as others are"
    return f"refused; instead: {_steps(policy.privileged.instead)}"


def _steps(steps: Iterable[Step]) -> str:
    return ", ".join(str(step) for step in in_safe_order(tuple(steps))) or "none"


def _count(several: Sequence[object], noun: str) -> str:
    return f"{len(several)} {noun}" if len(several) == 1 else f"{len(several)} {noun}s"


def _printable(text: str) -> str:
    """Keep what is named by a file's keys on its line, whatever characters they hold."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def check(file: Path) -> int:
    """Check the policy in a file and write what it means, or what is wrong with it; return the exit status."""
    try:
        policy = parse_policy(file.read_text(encoding="utf-8"))
    except OSError as error:
        return _complain(file, WRONG, f"cannot be read: {error.strerror}")
    except UnicodeDecodeError as error:
        return _complain(file, WRONG, f"is not UTF-8 (at byte {error.start})")
    except SettingsError as error:
        return _complain(file, UNSOUND, *(problem.removeprefix(_PREFIX) for problem in error.problems))
    sys.stdout.write(f"{file}: sound\n{describe(policy)}\n")
    return SOUND


def _complain(file: Path, status: int, *problems: str) -> int:
    for problem in problems:
        sys.stderr.write(f"{file}: {_printable(problem)}\n")
    return status


def main(words: Sequence[str]) -> int:
    """Run the command; return its exit status."""
    parser, words = begin("shared.policy", words, _ABOUT, _EPILOGUE)
    parser.add_argument("file", type=Path, metavar="FILE", help="the policy as JSON, as infra/policy.json")
    return check(parser.parse_args(words).file)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
