"""The stack in containers, through the Docker SDK: ``gateway up --runtime docker`` and ``gateway deploy``.

Labels own what is made here; a container, a network or a volume without them is never touched.
"""

RUN_DIRECTORY = "/run/gateway"  # of every server of ours, in its container
