"""The shop as Strawberry's and aioboto3's own pages teach it: types with resolvers, a DataLoader
for each kind of object made for each request, a resource of aioboto3 for the whole process.

Parser and validation caches are on. `python -m bench.peers.straightforward [bare]`, bare without
them; PORT, STORE and SECRET are environment variables.
"""
