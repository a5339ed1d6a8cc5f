/* Events of the network and of the clock: what the system tells, by looking once an iteration of the loop. */

#include "runtime.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <mgos_time.h>
#include <net/if.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_INTERFACES 32

struct interface {
  struct mgos_net_event_data data;
  bool seen;
};

static struct interface s_up[MAX_INTERFACES];
static int s_num_up;
static int s_socket = -1;
static bool s_looked;

static enum mgos_net_if_type type_of(const char *name) {
  char path[300];
  snprintf(path, sizeof(path), "/sys/class/net/%.200s/wireless", name);
  if (access(path, F_OK) == 0) return MGOS_NET_IF_TYPE_WIFI;
  return strncmp(name, "ppp", 3) == 0 ? MGOS_NET_IF_TYPE_PPP : MGOS_NET_IF_TYPE_ETHERNET;
}

static void put_address(struct sockaddr_in *to, const struct sockaddr *from) {
  if (from != NULL && from->sa_family == AF_INET) memcpy(to, from, sizeof(*to));
}

/* The interfaces that have an address: a list for which `list` has room for MAX_INTERFACES; without others, the loopback. */
static int interfaces(struct interface *list) {
  struct ifaddrs *all;
  int n = 0;
  if (getifaddrs(&all) != 0) return 0;
  for (int loopback = 0; loopback <= 1 && n == 0; loopback++) {
    for (const struct ifaddrs *i = all; i != NULL; i = i->ifa_next) {
      int index, at = 0;
      if (i->ifa_addr == NULL || (i->ifa_flags & IFF_UP) == 0 || ((i->ifa_flags & IFF_LOOPBACK) != 0) != loopback) continue;
      if (i->ifa_addr->sa_family == AF_INET6) {
        if (IN6_IS_ADDR_LINKLOCAL(&((const struct sockaddr_in6 *) (const void *) i->ifa_addr)->sin6_addr)) continue;
      } else if (i->ifa_addr->sa_family != AF_INET) {
        continue;
      }
      index = (int) if_nametoindex(i->ifa_name);
      while (at < n && list[at].data.if_instance != index) at++;
      if (at == MAX_INTERFACES) continue;
      if (at == n) {
        memset(&list[n], 0, sizeof(list[n]));
        list[n].data.if_type = type_of(i->ifa_name);
        list[n].data.if_instance = index;
        n++;
      }
      if (list[at].data.ip_info.ip.sin_family == 0) {
        put_address(&list[at].data.ip_info.ip, i->ifa_addr);
        put_address(&list[at].data.ip_info.netmask, i->ifa_netmask);
      }
    }
  }
  freeifaddrs(all);
  return n;
}

static void open_socket(void) {
  struct sockaddr_nl address;
  s_socket = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
  if (s_socket < 0) return;
  memset(&address, 0, sizeof(address));
  address.nl_family = AF_NETLINK;
  address.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR;
  if (bind(s_socket, (struct sockaddr *) &address, sizeof(address)) != 0) {
    close(s_socket);
    s_socket = -1;
  }
}

/* Whether the system told of a change, or cannot tell. */
static bool changed(void) {
  char message[8192];
  bool any = !s_looked;
  if (s_socket < 0) return true;
  for (;;) {
    ssize_t n = recv(s_socket, message, sizeof(message), 0);
    if (n > 0 || (n < 0 && errno == ENOBUFS)) {
      any = true;
    } else if (n == 0 || errno != EINTR) {
      return any;
    }
  }
}

static struct interface *find(struct interface *list, int n, int index) {
  for (int i = 0; i < n; i++) {
    if (list[i].data.if_instance == index) return &list[i];
  }
  return NULL;
}

void mgos_os_net_look(void) {
  struct interface now[MAX_INTERFACES], before[MAX_INTERFACES];
  int n, num_before = s_num_up;
  if (!s_looked) open_socket();
  if (!changed()) return;
  s_looked = true;
  n = interfaces(now);
  memcpy(before, s_up, sizeof(before));
  memcpy(s_up, now, sizeof(s_up));
  s_num_up = n;
  for (int i = 0; i < num_before; i++) {
    if (find(now, n, before[i].data.if_instance) == NULL) mgos_event_trigger(MGOS_NET_EV_DISCONNECTED, &before[i].data);
  }
  for (int i = 0; i < n; i++) {
    if (find(before, num_before, now[i].data.if_instance) != NULL) continue;
    mgos_event_trigger(MGOS_NET_EV_CONNECTED, &now[i].data);
    mgos_event_trigger(MGOS_NET_EV_IP_ACQUIRED, &now[i].data);
  }
}

bool mgos_net_get_ip_info(enum mgos_net_if_type if_type, int if_instance, struct mgos_net_ip_info *ip_info) {
  struct interface list[MAX_INTERFACES];
  int n = interfaces(list);
  for (int i = 0; i < n; i++) {
    if (list[i].data.if_type != if_type || (if_instance >= 0 && list[i].data.if_instance != if_instance)) continue;
    if (ip_info != NULL) *ip_info = list[i].data.ip_info;
    return true;
  }
  return false;
}

char *mgos_net_ip_to_str(const struct sockaddr_in *sin, char *out) {
  return (char *) (uintptr_t) inet_ntop(AF_INET, &sin->sin_addr, out, INET_ADDRSTRLEN);
}

/* The clock was set if it and the one that nobody can set went apart. Slewing makes them drift, so the difference is taken anew each
   time. */
void mgos_os_clock_look(void) {
  static int64_t before;
  static bool known;
  int64_t difference = mgos_time_micros() - mgos_os_micros(), jump = difference - before;
  struct mgos_time_changed_arg arg;
  before = difference;
  if (!known) {
    known = true;
    return;
  }
  if (llabs(jump) < 500000) return;
  arg.delta = (double) jump / 1e6;
  mgos_event_trigger(MGOS_EVENT_TIME_CHANGED, &arg);
}
