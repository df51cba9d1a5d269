"""What the DynamoDB calls alone cost: each workload's calls through raw aiohttp, signed here, and
its answer put together by hand. No GraphQL, no checks: nothing should be faster in Python.

`python -m bench.peers.floor`; PORT and STORE are environment variables. POST /a to /d.
"""
