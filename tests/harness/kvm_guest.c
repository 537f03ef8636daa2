// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * kvm_guest - the smallest real KVM guest: it exits exactly as often as told
 *
 *	qemu-system-x86_64 -name guest=NAME [--unnamed]
 *
 * Run from a copy called as above, it is a VM to the probe: KVM knows it, its
 * vCPU is a thread of its own, called "CPU 0/KVM" as QEMU would (unless
 * --unnamed). The guest counts down from 1023 and writes to an I/O port, and
 * again; each write is one exit to us. One command a line on stdin, one JSON
 * object a line in reply:
 *
 *	run count=N	let it make N such exits; replies when it has
 *	quit
 *
 * Threads: the one that obeys, and the vCPU.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define KG_CODE	    0x1000
#define KG_MEM	    0x4000
#define KG_TSS_ADDR 0xfffbd000

static const unsigned char code[] = {
	0xb9, 0xff, 0x03, /* mov $0x3ff, %cx */
	0xe2, 0xfe,	  /* loop . */
	0xe6, 0x10,	  /* out %al, $0x10 */
	0xeb, 0xf7,	  /* jmp to the mov */
};

static int vcpu = -1;
static struct kvm_run *shared;
static bool unnamed;
static unsigned long wanted;
static int vcpu_tid, failed;
static sem_t go, done;

static int kg_fail(const char *what)
{
	fprintf(stderr, "kvm_guest: %s: %s\n", what, strerror(errno));
	return 1;
}

static int kg_make(void)
{
	struct kvm_userspace_memory_region region = { .memory_size = KG_MEM };
	struct kvm_regs regs = { .rip = KG_CODE, .rflags = 2 };
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), vm, size;
	struct kvm_sregs sregs;
	void *mem;

	if (kvm < 0)
		return kg_fail("open /dev/kvm");
	vm = ioctl(kvm, KVM_CREATE_VM, 0);
	if (vm < 0)
		return kg_fail("KVM_CREATE_VM");
	(void)ioctl(vm, KVM_SET_TSS_ADDR, KG_TSS_ADDR); /* Intel's wish */
	mem = mmap(NULL, KG_MEM, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (mem == MAP_FAILED)
		return kg_fail("mmap");
	memcpy((char *)mem + KG_CODE, code, sizeof(code));
	region.userspace_addr = (uintptr_t)mem;
	if (ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region))
		return kg_fail("KVM_SET_USER_MEMORY_REGION");
	vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (vcpu < 0 || size < 0)
		return kg_fail("KVM_CREATE_VCPU");
	shared = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	if (shared == MAP_FAILED || ioctl(vcpu, KVM_GET_SREGS, &sregs))
		return kg_fail("KVM_GET_SREGS");
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	if (ioctl(vcpu, KVM_SET_SREGS, &sregs) || ioctl(vcpu, KVM_SET_REGS, &regs))
		return kg_fail("KVM_SET_REGS");
	return 0;
}

static void *kg_vcpu(void *arg)
{
	(void)arg;
	if (!unnamed)
		prctl(PR_SET_NAME, "CPU 0/KVM");
	vcpu_tid = (int)syscall(SYS_gettid);
	sem_post(&done);
	for (;;) {
		while (sem_wait(&go))
			;
		failed = 0;
		for (unsigned long n = 0; n < wanted && !failed;) {
			if (ioctl(vcpu, KVM_RUN, 0) && errno != EINTR)
				failed = errno;
			else if (shared->exit_reason == KVM_EXIT_IO)
				n++;
			else if (shared->exit_reason != KVM_EXIT_INTR)
				failed = EIO;
		}
		sem_post(&done);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t thread;
	char line[256];

	for (int i = 1; i < argc; i++)
		unnamed |= !strcmp(argv[i], "--unnamed");
	sem_init(&go, 0, 0);
	sem_init(&done, 0, 0);
	if (kg_make())
		return 1;
	if (pthread_create(&thread, NULL, kg_vcpu, NULL))
		return kg_fail("make the vCPU's thread");
	sem_wait(&done);
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("{\"ok\":true,\"pid\":%d,\"vcpu\":%d}\n", (int)getpid(), vcpu_tid);
	while (fgets(line, sizeof(line), stdin)) {
		if (sscanf(line, "run count=%lu", &wanted) == 1) {
			sem_post(&go);
			sem_wait(&done);
			if (failed)
				printf("{\"ok\":false,\"error\":\"KVM_RUN: %s\",\"exit_reason\":%u}\n",
				       strerror(failed), shared->exit_reason);
			else
				printf("{\"ok\":true}\n");
		} else if (!strcmp(line, "quit\n")) {
			break;
		} else {
			printf("{\"ok\":false,\"error\":\"unknown command\"}\n");
		}
	}
	return 0;
}
