"""Run a command, and write how many bytes of memory it took at its peak.

Linux counts for a process also what the one that started it had taken by then (`exec_mmap` in its
fs/exec.c), so that a large one lets this small one start the command.
"""

import resource
import subprocess
import sys
from pathlib import Path


def main() -> int:
    """Run the words after the name of the file to write; return the command's exit status."""
    file, *command = sys.argv[1:]
    status = subprocess.run(command, check=False).returncode
    kilobytes = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    Path(file).write_text(str(1024 * kilobytes))
    return status


if __name__ == "__main__":
    sys.exit(main())
