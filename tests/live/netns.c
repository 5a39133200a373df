// SPDX-License-Identifier: Apache-2.0
/* What a program sees of its network and host name: interfaces, addresses, routes, names. */
#include "subject.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>

/* One line for each address and route; link-local addresses come and go and are left out. */
static void describe(char *out, size_t size)
{
	struct ifaddrs *list, *i;
	char host[256], line[256];
	FILE *routes;
	size_t n;

	CHECK(gethostname(out, size) == 0);
	n = strlen(out);
	CHECK(getifaddrs(&list) == 0);
	for (i = list; i; i = i->ifa_next) {
		socklen_t len = 0;

		if (i->ifa_addr && i->ifa_addr->sa_family == AF_INET)
			len = 16;
		else if (i->ifa_addr && i->ifa_addr->sa_family == AF_INET6)
			len = 28;
		if (!len ||
		    getnameinfo(i->ifa_addr, len, host, sizeof(host), NULL, 0, NI_NUMERICHOST))
			continue;
		if (strncmp(host, "fe80", 4) == 0)
			continue;
		n += snprintf(out + n, size - n, "|%s %s", i->ifa_name, host);
		CHECK(n < size);
	}
	freeifaddrs(list);
	routes = fopen("/proc/net/route", "r");
	CHECK(routes);
	while (fgets(line, sizeof(line), routes)) {
		char name[32];
		unsigned int dest, gate;

		if (sscanf(line, "%31s %x %x", name, &dest, &gate) == 3)
			n += snprintf(out + n, size - n, "|%s %x via %x", name, dest, gate);
		CHECK(n < size);
	}
	fclose(routes);
}

int main(int argc, char **argv)
{
	static char before[8192], after[8192];

	subject_init(argc, argv);
	describe(before, sizeof(before));

	subject_ready();
	subject_wait();

	describe(after, sizeof(after));
	if (strcmp(before, after))
		subject_fail(__FILE__, __LINE__, after);
	subject_pass();
}
