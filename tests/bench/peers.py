"""Unlinks the rows of a CSV file as a script with boto3 and a pool of threads does; a line "lost" for each row given up.

peers.py URL FILE RETRY_MODE ATTEMPTS THREADS
"""

import csv
import sys
from concurrent.futures import ThreadPoolExecutor

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

url, file, mode, attempts, threads = sys.argv[1:]
client = boto3.client(
    "cognito-identity",
    region_name="us-east-1",
    endpoint_url=url,
    config=Config(
        # `max_attempts` would not count the first.
        retries={"mode": mode, "total_max_attempts": int(attempts)},
        max_pool_connections=int(threads),
    ),
)


def unlink(row):
    try:
        client.unlink_developer_identity(
            IdentityId=row["identity_id"],
            IdentityPoolId=row["identity_pool_id"],
            DeveloperProviderName=row["developer_provider_name"],
            DeveloperUserIdentifier=row["developer_user_identifier"],
        )
    except (BotoCoreError, ClientError):
        print("lost", flush=True)


with open(file, newline="") as rows, ThreadPoolExecutor(int(threads)) as pool:
    pool.map(unlink, csv.DictReader(rows))
