"""Bring a program in by the system's package manager where that is possible, and say so where it is not."""

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
        return f"{program} is missing and only root may install it; try `sudo apt-get install {program}`."
    for manager, (*before, install) in COMMANDS.items():
        if shutil.which(manager):
            for command in [*before, [*install, program]]:
                if subprocess.run(command, stdout=subprocess.DEVNULL).returncode != 0:
                    return f"{program} could not be installed: `{' '.join(command)}` failed."
            return ""
    return f"{program} is missing and no package manager that we know is here."


if __name__ == "__main__":
    if problem := main(sys.argv[1]):
        sys.stderr.write(f"{problem} The tests that need it will be skipped and will say why.\n")
