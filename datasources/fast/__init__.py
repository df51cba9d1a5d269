"""The calls that requests are made of, answered without the parts of botocore that cost most.

`client.py` stands in for an aioboto3 client and takes from it, call by call, what it prepared
once: endpoint, headers, signing region. `signing.py`, `transport.py` and `codec.py` are the three
things done in its place. Credentials, configuration and every other operation stay with aioboto3.
"""
