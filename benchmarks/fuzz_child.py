"""A process that runs command lines one after another for `fuzz.py`: one JSON line in, one out.

In: {"arguments": [...]}. Out: the exit code, what was said, CPU seconds and the peak of the process in megabytes. An exception
that leaves the command line is code -1, with its traceback.
"""

import json
import os
import resource
import sys
import tempfile
import time
import traceback

ADDRESS_SPACE = 12 * 2**30
"""A bound that protects the machine; what counts is the peak of real memory."""


def main() -> None:
    """Serves until its input ends."""
    answers = os.fdopen(os.dup(1), "w")
    said = tempfile.TemporaryFile()  # noqa: SIM115  # lives as long as the process
    for stream in (1, 2):
        os.dup2(said.fileno(), stream)
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    from terraseg.cli.main import run
    from terraseg.predict.memory import peak_memory_mb

    for line in sys.stdin:
        said.seek(0)
        said.truncate()
        start = time.process_time()
        try:
            code = run(json.loads(line)["arguments"])
        except BaseException:  # noqa: BLE001  # whatever comes out is what is looked for
            traceback.print_exc()
            code = -1
        sys.stdout.flush()
        sys.stderr.flush()
        said.seek(0)
        answer = {
            "code": code,
            "said": said.read().decode("utf-8", errors="replace")[-4000:],
            "cpu_s": time.process_time() - start,
            "peak_mb": peak_memory_mb(),
        }
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
