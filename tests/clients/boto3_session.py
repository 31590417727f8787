"""S3, Glue and Athena through boto3: results, pagination and error codes."""

import time
from concurrent.futures import ThreadPoolExecutor

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

config = Config(retries={"max_attempts": 1}, max_pool_connections=32)
s3, glue, athena = (boto3.client(name, config=config) for name in ("s3", "glue", "athena"))


def code_of(call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        return error.response["Error"]["Code"]
    return None


def until(look, wanted):
    deadline = time.monotonic() + 60
    while (seen := look()) != wanted:
        assert time.monotonic() < deadline, f"{seen} instead of {wanted}"
        time.sleep(0.05)


# Objects: pages of more than 1,000 keys, one winner of 32 conditional writes, error codes.
s3.create_bucket(Bucket="lake")
with ThreadPoolExecutor(16) as pool:
    keys = [f"prices/{n:04}.json" for n in range(1200)]
    put = lambda key: s3.put_object(Bucket="lake", Key=key, Body=b'{"Index":"NYA","Close":1.5}\n')
    list(pool.map(put, keys))
    race = lambda _: code_of(s3.put_object, Bucket="lake", Key="race", Body=b"x", IfNoneMatch="*")
    codes = list(ThreadPoolExecutor(32).map(race, range(32)))
pages = list(s3.get_paginator("list_objects_v2").paginate(Bucket="lake", Prefix="prices/"))
assert [len(page["Contents"]) for page in pages] == [1000, 200], [len(page["Contents"]) for page in pages]
assert [entry["Key"] for page in pages for entry in page["Contents"]] == keys
assert codes.count(None) == 1 and codes.count("PreconditionFailed") == 31, codes
assert code_of(s3.delete_bucket, Bucket="lake") == "BucketNotEmpty"
assert code_of(s3.put_object, Bucket="nobody", Key="x", Body=b"") == "NoSuchBucket"
assert code_of(s3.get_object, Bucket="lake", Key="nothing") == "NoSuchKey"
stranger = boto3.client("s3", aws_access_key_id="local", aws_secret_access_key="wrong", config=config)
assert code_of(stranger.list_buckets) == "SignatureDoesNotMatch"

# A crawler: its states and its table.
glue.create_database(DatabaseInput={"Name": "market"})
assert code_of(glue.create_database, DatabaseInput={"Name": "market"}) == "AlreadyExistsException"
targets = {"S3Targets": [{"Path": "s3://lake/prices/"}]}
glue.create_crawler(Name="crawler", Role="role", DatabaseName="market", Targets=targets)
glue.start_crawler(Name="crawler")
until(lambda: glue.get_crawler(Name="crawler")["Crawler"]["State"], "READY")
assert glue.get_crawler(Name="crawler")["Crawler"]["LastCrawl"]["Status"] == "SUCCEEDED"
table = glue.get_table(DatabaseName="market", Name="prices")["Table"]
columns = [(column["Name"], column["Type"]) for column in table["StorageDescriptor"]["Columns"]]
assert columns == [("index", "string"), ("close", "double")], columns
assert code_of(glue.get_table, DatabaseName="market", Name="x") == "EntityNotFoundException"
assert code_of(glue.get_crawler, Name="x") == "EntityNotFoundException"


# SQL: states, pages of rows, the error message.
def ask(sql):
    context = {"Database": "market"}
    started = athena.start_query_execution(QueryString=sql, QueryExecutionContext=context)
    query = {"QueryExecutionId": started["QueryExecutionId"]}
    status = lambda: athena.get_query_execution(**query)["QueryExecution"]["Status"]
    until(lambda: status()["State"] in ("SUCCEEDED", "FAILED"), True)
    return query, status()


query, status = ask("SELECT * FROM prices")
assert status["State"] == "SUCCEEDED", status
pages = athena.get_paginator("get_query_results").paginate(**query)
rows = [row["Data"] for page in pages for row in page["ResultSet"]["Rows"]]
assert rows[0] == [{"VarCharValue": "index"}, {"VarCharValue": "close"}], rows[0]
assert len(rows) == 1201 and rows[1200] == [{"VarCharValue": "NYA"}, {"VarCharValue": "1.5"}], len(rows)
location = athena.get_query_execution(**query)["QueryExecution"]["ResultConfiguration"]["OutputLocation"]
bucket, key = location.removeprefix("s3://").split("/", 1)
text = s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode()
assert text.splitlines()[:2] == ['"index","close"', '"NYA","1.5"'], text[:100]
_, status = ask("SELECT * FROM nothing")
assert status["State"] == "FAILED" and "nothing" in status["StateChangeReason"], status

print("all checks passed")
