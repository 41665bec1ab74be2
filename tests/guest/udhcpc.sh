#!/bin/sh
# SPDX-License-Identifier: MIT
# udhcpc's script: sets what the DHCP server gave.
case $1 in
bound|renew)
    ifconfig "$interface" "$ip" netmask "${subnet:-255.255.255.0}"
    [ -z "$router" ] || route add default gw "${router%% *}" 2>/dev/null
    echo "$ip" > /run/ip
    ;;
esac
