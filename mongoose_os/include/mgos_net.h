/*
 * Events of the network. mgos_main() raises CONNECTED and IP_ACQUIRED for each interface that has an address, and DISCONNECTED when
 * it loses it. A machine with nothing but its loopback counts as connected by that.
 */

#ifndef MGOS_NET_H
#define MGOS_NET_H

#include <netinet/in.h>

#include <mgos_event.h>

#define MGOS_EVENT_GRP_NET MGOS_EVENT_BASE('N', 'E', 'T')

enum mgos_net_event {
  MGOS_NET_EV_DISCONNECTED = MGOS_EVENT_GRP_NET,
  MGOS_NET_EV_CONNECTING,
  MGOS_NET_EV_CONNECTED,
  MGOS_NET_EV_IP_ACQUIRED
};

enum mgos_net_if_type {
  MGOS_NET_IF_TYPE_WIFI,
  MGOS_NET_IF_TYPE_ETHERNET,
  MGOS_NET_IF_TYPE_PPP,
  MGOS_NET_IF_MAX
};

/* Addresses; those that are not known are 0. */
struct mgos_net_ip_info {
  struct sockaddr_in ip;
  struct sockaddr_in netmask;
  struct sockaddr_in gw;
  struct sockaddr_in dns;
  struct sockaddr_in ntp;
};

/* The `ev_data` of the events. */
struct mgos_net_event_data {
  enum mgos_net_if_type if_type;
  int if_instance; /* the system's index of the interface */
  struct mgos_net_ip_info ip_info;
};

#ifdef __cplusplus
extern "C" {
#endif

/* The addresses of the first interface of this type; with a negative `if_instance`, of any. False if it has none. */
bool mgos_net_get_ip_info(enum mgos_net_if_type if_type, int if_instance, struct mgos_net_ip_info *ip_info);

/* An address as text, in `out` of at least 16 bytes. */
char *mgos_net_ip_to_str(const struct sockaddr_in *sin, char *out);

#ifdef __cplusplus
}
#endif

#endif
