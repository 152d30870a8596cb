/* What the programs at an impaired device and the engine beside it agree on (see impair.bpf.c). */
#ifndef EDGE_TURNOUT_H
#define EDGE_TURNOUT_H

#define EDGE_TURNOUT_MARK 0x0edbadedU /* skb->mark of a frame that comes back */
#define EDGE_TURNOUT_MAJOR 1U	      /* handle of the HTB whose classes are remembered */
#define EDGE_TURNOUT_TAG 4U	      /* octets of the tag that remembers one, behind the MAC addresses */

#endif
