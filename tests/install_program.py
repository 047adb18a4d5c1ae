"""Install a program with the system's package manager. If that fails, say why and exit 0."""

import os
import shutil
import subprocess
import sys

COMMANDS = {
    "apt-get": [["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", "--no-install-recommends"]],
    "dnf": [["dnf", "install", "-y", "-q"]],
    "apk": [["apk", "add", "-q"]],
}


def main(program: str) -> str:
    if os.geteuid() != 0:
        return f"{program} is missing and only root can install it: `sudo apt-get install {program}`."
    for manager, (*before, install) in COMMANDS.items():
        if shutil.which(manager):
            for command in [*before, [*install, program]]:
                if subprocess.run(command, stdout=subprocess.DEVNULL).returncode != 0:
                    return f"{program} could not be installed: `{' '.join(command)}` failed."
            return ""
    return f"{program} is missing and no known package manager was found."


if __name__ == "__main__":
    if problem := main(sys.argv[1]):
        sys.stderr.write(f"{problem} The tests that need it will be skipped.\n")
