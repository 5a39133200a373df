# SPDX-License-Identifier: Apache-2.0
"""network: two network namespaces of our own with a wire between them.

The container gets one end, its clients the other; the machine's own network is not touched, and every
test can use the same addresses (198.18.0.0/15, set aside for tests by RFC 2544).
"""
from lib import host

CLIENT = "198.18.0.1"
SERVER = "198.18.0.2"
CLIENT6 = "fd00:a::1"
SERVER6 = "fd00:a::2"


class Network:
    """A pair of namespaces: self.server for the container, self.client for those who load it."""

    def __init__(self, name):
        self.server = f"{name}-s"
        self.client = f"{name}-c"
        self.path = f"/run/netns/{self.server}"
        self.undo = host.Undo()
        for ns in (self.server, self.client):
            host.run("ip", "netns", "add", ns)
            self.undo.add(host.run, "ip", "netns", "del", ns, check=False)
            host.run("ip", "-n", ns, "link", "set", "lo", "up")
        host.run("ip", "-n", self.server, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", self.client)
        self._address(self.server, SERVER, SERVER6)
        self._address(self.client, CLIENT, CLIENT6)
        host.run("ip", "-n", self.server, "route", "add", "default", "via", CLIENT)

    @staticmethod
    def _address(ns, v4, v6):
        host.run("ip", "-n", ns, "addr", "add", f"{v4}/24", "dev", "eth0")
        host.run("ip", "-n", ns, "addr", "add", f"{v6}/64", "dev", "eth0", "nodad")
        host.run("ip", "-n", ns, "link", "set", "eth0", "up")

    def as_client(self, *argv):
        """The command line that runs argv on the client's side."""
        return ["nsenter", f"--net=/run/netns/{self.client}", "--", *[str(a) for a in argv]]

    def close(self):
        self.undo.close()
