"""`python -m rehearsal.emulator`: serve AWS until SIGTERM."""

import logging
import os
import sys

# ministack reads the environment when it is imported.
os.environ.setdefault("MINISTACK_RDS_PG_CLUSTER_REPLICATION", "1")


def main() -> None:
    """Mend ministack and let it run."""
    from rehearsal.emulator import (  # noqa: PLC0415 - the environment comes first
        alarms,
        cloudformation,
        codedeploy,
        database,
        groups,
        images,
        listeners,
        load_balancer,
        models,
        network,
        restores,
        scaling,
        scheduler,
        secrets,
        services,
        settings,
        targets,
        tasks,
        upstream,
    )

    for each in (
        upstream,
        models,
        cloudformation,
        network,
        secrets,
        images,
        database,
        restores,
        alarms,
        load_balancer,
        targets,
        tasks,
        scheduler,
        services,
        scaling,
        groups,
        codedeploy,
    ):
        each.install()
    targets.HEALTH.start()
    scheduler.SCHEDULER.start()
    codedeploy.DEPLOYMENTS.start()
    if upstream.has_engine():
        tasks.watch_engine(scheduler.interrupted)
    if settings.SETTINGS.listen:
        listeners.Listeners().start()
    logging.getLogger("tap").info("engine: %s", upstream.has_engine())
    upstream.module("app").main()


if __name__ == "__main__":
    main()
    # Nothing is kept, and freeing all that ministack holds, object by object, takes a busy machine ten seconds.
    logging.shutdown()
    sys.stdout.flush()
    os._exit(0)
