"""The least that takes a line in: an endpoint, an insert with its commit, and a publish. It checks no token,
numbers nothing, and loses what it can't publish."""

import contextlib
import os
from collections.abc import AsyncIterator

import asyncpg
from fastapi import FastAPI
from pydantic import BaseModel
from redis.asyncio import Redis


class Line(BaseModel):
    message: str


@contextlib.asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with (
        asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=2, max_size=8) as pool,
        Redis.from_url(os.environ["REDIS_URL"]) as redis,
    ):
        await pool.execute(
            "CREATE TABLE IF NOT EXISTS lines (id bigserial PRIMARY KEY, run uuid, message text)"
        )
        app.state.pool, app.state.redis = pool, redis
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/runs/{run}/logs", status_code=201)
async def add(run: str, line: Line) -> dict[str, object]:
    number = await app.state.pool.fetchval(
        "INSERT INTO lines (run, message) VALUES ($1, $2) RETURNING id", run, line.message
    )
    await app.state.redis.publish(f"run:{run}", line.message)
    return {"id": number, "run_id": run, "line": line.message}
