"""Jobs that look after the jobs."""

from procrastinate import JobContext
from procrastinate.contrib.django import app

SECONDS_WITHOUT_HEARTBEAT = 15


@app.periodic(cron="* * * * * */15")
@app.task(name="operations.rescue", queueing_lock="operations.rescue", pass_context=True)
async def rescue(context: JobContext, timestamp: int) -> None:
    """Put back the jobs of killed workers. Without a lock: a stalled rescue with one would block itself."""
    manager = context.app.job_manager
    for job in await manager.get_stalled_jobs(seconds_since_heartbeat=SECONDS_WITHOUT_HEARTBEAT):
        await manager.retry_job(job)
