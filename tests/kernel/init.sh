#!/bin/sh
# Process 1 of a guest (tests/kernel/guest.py). Its root is the machine's own, read-only, by hostfs; over it
# comes a layer in memory, so that the guest may write anywhere and the machine sees nothing.
# The job's folder holds `command` (what to run), `writable` (folders that are written for real, one a line),
# and `modules` (the folder of the kernel's modules); it takes the command's `status`.
set -eu
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
job=$1
modules=$(cat "$job/modules")

power_off() {
    # `o` is "off" to the kernel; it comes about a little later, and process 1 must not end before.
    echo o >/proc/sysrq-trigger
    while :; do sleep 1; done
}

mount -t proc -o nosuid,nodev,noexec proc /proc
trap 'power_off' EXIT

# Nothing is asked of the machine's /lib/modules: it belongs to another kernel.
insmod "$modules/kernel/fs/overlayfs/overlay.ko"
mount -t tmpfs -o mode=755 tmpfs "$job/memory"
mkdir "$job/memory/upper" "$job/memory/work" "$job/memory/root"
root=$job/memory/root
mount -t overlay -o "lowerdir=/,upperdir=$job/memory/upper,workdir=$job/memory/work" overlay "$root"
rm -f "$root/lib/modules/$(uname -r)"
mkdir -p "$root/lib/modules" "$root/proc" "$root/sys" "$root/dev" "$root/run" "$root/mnt"
ln -s "$modules" "$root/lib/modules/$(uname -r)"

mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
mount -t sysfs -o nosuid,nodev,noexec sysfs "$root/sys"
mount -t devtmpfs -o nosuid devtmpfs "$root/dev"
mkdir -p "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o nosuid,noexec,ptmxmode=0666,newinstance devpts "$root/dev/pts"
mount -t tmpfs -o nosuid,nodev tmpfs "$root/dev/shm"
mount -t tmpfs -o nosuid,nodev,mode=755 tmpfs "$root/run"
mount -t bpf bpf "$root/sys/fs/bpf"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
ln -sfn /proc/self/fd "$root/dev/fd"
for number in 0 1 2; do ln -sfn "/proc/self/fd/$number" "$root/dev/$(echo stdin stdout stderr | cut -d' ' -f$((number + 1)))"; done
echo "$job" | cat - "$job/writable" | while read -r folder; do
    mkdir -p "$root$folder"
    mount -t hostfs -o "$folder" none "$root$folder"
done

cd "$root"
pivot_root . mnt
umount -l /mnt
cd /
hostname stock
# What stock kernels have built in is a module of this one.
modprobe ipv6
ip link set lo up

if [ -e "$job/interactive" ]; then
    stty -F /dev/tty1 rows "$(cut -d' ' -f1 "$job/interactive")" cols "$(cut -d' ' -f2 "$job/interactive")" sane
    setsid -w -c sh "$job/command" </dev/tty1 >/dev/tty1 2>&1 && status=0 || status=$?
else
    # Octets as they are: a terminal would put a carriage return before each end of line. The command gets
    # pipes, as it would have here, not terminals.
    stty -F /dev/tty1 raw -echo
    stty -F /dev/tty2 raw -echo
    mkfifo /run/stdout /run/stderr
    cat </run/stdout >/dev/tty1 &
    out=$!
    cat </run/stderr >/dev/tty2 &
    err=$!
    setsid -w sh "$job/command" </dev/null >/run/stdout 2>/run/stderr && status=0 || status=$?
    # What the command left running must not keep the pipes open.
    for process in /proc/[0-9]*; do
        pid=${process#/proc/}
        case " 1 $out $err " in *" $pid "*) ;; *) kill -KILL "$pid" 2>/dev/null || true ;; esac
    done
    wait "$out" "$err"
fi
echo "$status" >"$job/status"
