"""Bring Chromium in by the system's package manager where that is possible, and say so where it is not."""

import os
import shutil
import subprocess
import sys

COMMANDS = {
    "apt-get": [["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", "chromium"]],
    "dnf": [["dnf", "install", "-y", "-q", "chromium"]],
    "apk": [["apk", "add", "-q", "chromium"]],
}


def main() -> str:
    if os.geteuid() != 0:
        return "Chromium is missing and only root may install it; try `sudo apt-get install chromium`."
    for manager, commands in COMMANDS.items():
        if shutil.which(manager):
            for command in commands:
                if subprocess.run(command, stdout=subprocess.DEVNULL).returncode != 0:
                    return f"Chromium could not be installed: `{' '.join(command)}` failed."
            return ""
    return "Chromium is missing and no package manager that we know is here."


if __name__ == "__main__":
    if problem := main():
        sys.stderr.write(f"{problem} The browser tests will be skipped and will say why.\n")
