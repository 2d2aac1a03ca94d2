"""A machine made of stub commands, on which the project's shell scripts run for real."""

import shutil
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[3]
TOOLS = [
    "awk",
    "bash",
    "cat",
    "cut",
    "date",
    "dirname",
    "env",
    "flock",
    "grep",
    "head",
    "ls",
    "mkdir",
    "mv",
    "realpath",
    "rm",
    "sha256sum",
    "sleep",
    "stat",
    "tail",
]


class Machine:
    """A checkout, and a PATH of basic tools, Python, Java 17 and what a test adds or takes away.

    The user is not root and there is no package manager until a test says otherwise.
    """

    def __init__(self, folder: Path) -> None:
        self.checkout = folder / "checkout"
        self.bin = folder / "bin"
        self.bin.mkdir(parents=True)
        for tool in TOOLS:
            found = shutil.which(tool)
            assert found, f"{tool} is not on this machine"
            (self.bin / tool).symlink_to(found)
        for name in ("scripts", "requirements", "config"):
            shutil.copytree(
                REPOSITORY / name,
                self.checkout / name,
                ignore=shutil.ignore_patterns("__pycache__"),
            )
        (self.bin / "python3").symlink_to(Path(sys.executable).resolve())
        self.has("id", "echo 1000")
        self.has_java("17.0.15")

    def has(self, command: str, script: str) -> Path:
        """Puts a shell script on PATH under a command's name."""
        path = self.bin / command
        path.unlink(missing_ok=True)
        path.write_text(f"#!{self.bin}/bash\n{script}\n")
        path.chmod(0o755)
        return path

    def has_java(self, version: str) -> None:
        self.has("java", f"echo 'openjdk version \"{version}\" 2025-04-15' >&2")

    def has_python(self, command: str, version: str, rest: str = "exit 0") -> None:
        """Puts a Python on PATH that tells a version; ``rest`` answers every other question."""
        self.has(command, f'[[ "$2" == *version_info* ]] && echo {version} && exit\n{rest}')

    def lacks(self, command: str) -> None:
        (self.bin / command).unlink()

    def bash(self, script: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Runs a script in the checkout."""
        return subprocess.run(
            [str(self.bin / "bash"), "-euo", "pipefail", "-c", script],
            cwd=self.checkout,
            env=self.environment(**variables),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def environment(self, **variables: str) -> dict[str, str]:
        return {"PATH": str(self.bin), "HOME": str(self.checkout), **variables}

    def set_up(self, **variables: str) -> subprocess.CompletedProcess[str]:
        return self.bash("scripts/setup.sh", **variables)

    def refusal(self, **variables: str) -> str:
        """Runs set-up and returns what it refuses with: one line, and nothing beside it."""
        result = self.set_up(**variables)
        assert (result.returncode, result.stdout) == (1, "")
        assert result.stderr.count("\n") == 1, result.stderr
        return result.stderr.rstrip("\n")
