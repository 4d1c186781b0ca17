#!/bin/sh
# Process 1 of the USB test's guest: devices and udev as Debian has them, then a shell on the second
# serial line. It never returns: the machine's plug is pulled when the test is over.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp LC_ALL=C.UTF-8
mountpoint -q /proc || mount -t proc proc /proc
mountpoint -q /sys || mount -t sysfs sysfs /sys
mountpoint -q /dev || mount -t devtmpfs devtmpfs /dev
mountpoint -q /run || mount -t tmpfs tmpfs /run
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /tmp
/usr/lib/systemd/systemd-udevd --daemon
udevadm trigger --action=add
udevadm settle
mkdir /run/payload
mount -o ro /dev/vdb /run/payload
export PATH=/run/payload/bin:$PATH LD_LIBRARY_PATH=/run/payload/lib
cp -r /run/payload/bench /tmp/bench
cd /tmp/bench
for line in /dev/ttyS1 /dev/ttyS2; do stty -F $line raw -echo; done
exec </dev/ttyS1 >/dev/ttyS1 2>&1
echo kit-usb ready
while IFS= read -r command; do
  eval "$command"
  echo "@@$?"
done
