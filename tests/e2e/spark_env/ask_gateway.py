"""Asks a SQL gateway again and again until its input ends: ``ask_gateway.py PORT SQL``.

Runs in the Spark environment. Prints one line for each query: its rows, as JSON. The first query
that fails ends it, with the reason.
"""

import json
import sys
import threading

from pyhive import hive

port, sql = int(sys.argv[1]), sys.argv[2]
told_to_stop = threading.Event()


def wait_for_end_of_input() -> None:
    sys.stdin.read()
    told_to_stop.set()


threading.Thread(target=wait_for_end_of_input, daemon=True).start()
while not told_to_stop.is_set():
    connection = hive.connect("127.0.0.1", port)
    cursor = connection.cursor()
    cursor.execute(sql)
    sys.stdout.write(json.dumps(cursor.fetchall()) + "\n")
    sys.stdout.flush()
    connection.close()
