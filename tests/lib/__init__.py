# SPDX-License-Identifier: Apache-2.0
"""lib: what every test of amber stands on: containers, networks, the amber command, load, leaks."""
