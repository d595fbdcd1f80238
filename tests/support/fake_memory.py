"""Shared memory that is one region of this process."""


class FakeMemory:
    def __init__(self, data):
        self.data = bytearray(data)

    def check(self, window, field):
        pass

    def read(self, window, field):
        return bytes(self.data[window.offset : window.offset + window.byte_size])

    def write(self, window, data, field):
        self.data[window.offset : window.offset + len(data)] = data
