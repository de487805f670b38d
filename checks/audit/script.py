"""The script that looks at a server: POSIX shell, `ip`, /proc. It reads and prints, and changes nothing.

It needs no root. Where `ip` is BusyBox's, some of what it would print is missing, and the judge says
so. Every line begins with what it is about; the last is `end`, so that a torn answer is known as such.
"""

from __future__ import annotations

LARGEST = 1 << 20
"""Bytes of output: room for some thousand interfaces."""

SCRIPT = r"""
exec 2>/dev/null
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin; LC_ALL=C; export PATH LC_ALL
say() { while IFS= read -r line; do printf '%s %s\n' "$1" "$line"; done; }
# Of interfaces that are no tunnels the beginning is enough.
links() {
    while IFS= read -r line; do
        case $line in
            *link/ipip*|*link/sit*|*link/gre*|*link/tunnel6*|*link/\[823\]*) ;;
            *) line=${line%% promiscuity *} ;;
        esac
        printf 'link %s\n' "$line"
    done
}
value() { v=-; IFS= read -r v <"$1"; printf ' %s' "${v:--}"; }
echo 'lvsha-audit 1'
command -v ip >/dev/null || { echo 'no-ip'; exit 0; }
IFS= read -r release </proc/sys/kernel/osrelease; echo "kernel $release"
{ ip -o -d link show || ip -o link show; } | links
ip -o address show | say address
ip -o -4 route show default | say route
ip -o -6 route show default | say route
ip -6 neighbour show proxy | say proxy
if fou=$(ip fou show); then
    echo 'fou'
    printf '%s\n' "$fou" | say fou
fi
# Only root is told of rules. Lists are empty, and no error, where the kernel has no nf_tables.
if nft --check 'add table ip lvsha_realserver
    add chain ip lvsha_realserver mss { type filter hook output priority -150; }
    add rule ip lvsha_realserver mss tcp flags syn tcp option maxseg size set 1440'; then
    echo 'nft'
    nft list table ip lvsha_realserver | grep maxseg | say clamp
    nft list table ip6 lvsha_realserver | grep maxseg | say clamp
elif [ "$(id -u)" = 0 ]; then
    echo 'no-nft'
    for save in iptables-save ip6tables-save; do $save | grep -e '-A OUTPUT .*TCPMSS' | say clamp; done
fi
for conf in /proc/sys/net/ipv4/conf/*; do
    printf 'ipv4 %s' "${conf##*/}"
    for name in arp_ignore arp_announce rp_filter; do value "$conf/$name"; done
    echo
done
for conf in /proc/sys/net/ipv6/conf/*; do
    [ -d "$conf" ] || continue
    printf 'ipv6 %s' "${conf##*/}"
    for name in disable_ipv6 forwarding proxy_ndp; do value "$conf/$name"; done
    echo
done
echo end
"""
