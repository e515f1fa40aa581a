"""Tools only: fan out, double, add up. Prints from everywhere a program can print."""

import asyncio
import os
import subprocess
import sys

from agentrt import tool, workflow


@tool(effects="read")
def numbers(count: int) -> list[int]:
    print("a line from print")  # noqa: T201  the point of it
    os.write(1, b"a line from a file descriptor\n")
    subprocess.run(
        [sys.executable, "-c", "print('a line from a child')"],
        check=True,
    )
    return list(range(count))


@tool(effects="none", retries=0)
async def double(number: int, bad: int) -> int:
    if number == bad:
        raise ValueError(f"{number} is not to be doubled")
    await asyncio.sleep(0.01)
    return 2 * number


@tool(effects="none")
def total(doubled: list[int]) -> int:
    return sum(doubled)


@workflow
def main(count: int = 3, bad: int = -1) -> int:
    return total(double.map(numbers(count), bad=bad))


@workflow
def both(first: int = 3, second: int = 4, bad: int = -1) -> dict[str, int]:
    return {"first": double(first, bad), "second": double(second, bad)}
