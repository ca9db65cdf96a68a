import sys

import shmq

with shmq.connect() as session, session.consumer("greetings") as consumer:
    for _ in range(int(sys.argv[1])):
        with consumer.receive() as message:
            print(message.text)
