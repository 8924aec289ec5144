"""Start a command in several processes of this machine, by the launcher of torch."""

import logging
import sys
from collections.abc import Sequence

from ulmfit_easy.errors import TrainingError
from ulmfit_easy.extras import optional_package
from ulmfit_easy.schema import checked, whole


def in_processes(processes: int, argv: Sequence[str]) -> int:
    """Run `ulmfit` with these arguments in several processes that train together. Return its exit status.

    Each process asks `ulmfit_easy.processes` which one it is. If one of them ends before the others, torch ends these.

    Raises: ArgumentError E602 for fewer than one. E507 without accelerate. TrainingError E508 for one that was killed.
    """
    checked({"processes": whole()}, processes=processes)
    optional_package("accelerate")
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    logging.disable()  # what torch would log, the lines below tell
    config = LaunchConfig(1, 1, processes, run_id="ulmfit", rdzv_backend="c10d", rdzv_endpoint="localhost:0",
                          max_restarts=0, monitor_interval=0.1)
    try:
        elastic_launch(config, sys.executable)("-m", "ulmfit_easy", *argv)
    except SignalException as e:  # torch has passed it on, and the processes have told of it
        return 128 + e.sigval
    except ChildFailedError as e:
        number, failure = e.get_first_failure()
        if failure.exitcode > 0:  # it has told its error
            return failure.exitcode
        raise TrainingError("E508", received=f"process {number} of {processes} that was ended by "
                            f"{failure.signal_name()}", expected="all of them until the end",
                            fix="type the same command again with resume=; if memory was short, begin anew with fewer "
                            "processes=") from e
    finally:
        logging.disable(logging.NOTSET)
    return 0
