/*
 * A kernel of one page fault handler: it drops its identity map (a reset), touches two places of its direct map
 * (demand faults), says so on the serial port, switches to its final table, and exits with the status that its
 * command line begins with (a digit; an "e" makes it endless instead). On a CPU without NX its mappings are malformed, and the first touch faults
 * for ever.
 */
#define KERNEL_MAP 0xffffffff80000000
#define DIRECT_MAP 0xffff880000000000
#define PHYSICAL(symbol) symbol - KERNEL_MAP
#define CODE 0x10
#define SERIAL 0x3f8
#define DEBUG_EXIT 0xf4

	.section .text
	.globl startup_64
	.type startup_64, @function
startup_64:
	mov 0x228(%rsi), %r15d		/* boot_params.hdr.cmd_line_ptr */
	lea early_root(%rip), %rax
	mov %rax, %cr3
	mov $0x80000001, %eax
	cpuid
	bt $20, %edx			/* NX */
	jnc 1f
	mov $0xc0000080, %ecx
	rdmsr
	or $0x800, %eax			/* EFER.NXE */
	wrmsr
1:	movabs $high, %rax
	jmp *%rax
	.size startup_64, . - startup_64

	.type high, @function
high:
	mov $stack_top, %rsp
	lgdt gdt_pointer(%rip)
	push $CODE
	push $running
	lretq
	.size high, . - high

	.type running, @function
running:
	call make_idt
	call drop_identity_map
	movabs $DIRECT_MAP, %rbx
	mov (%rbx, %r15), %r14b
	movq $1, 0x800000(%rbx)
	movq $2, 0x800008(%rbx)
	call say
	cmp $'e', %r14b
	je endless
	mov $final_root - KERNEL_MAP, %rax
	mov %rax, %cr3
	movzbl %r14b, %eax
	sub $'0', %eax
	out %al, $DEBUG_EXIT
	ud2
	.size running, . - running

	/* Loads CR3 for ever. */
	.type endless, @function
endless:
	mov %cr3, %rax
	mov %rax, %cr3
	jmp endless
	.size endless, . - endless

	/* Only the kernel map is left. */
	.globl drop_identity_map
	.type drop_identity_map, @function
drop_identity_map:
	movq $0, early_root(%rip)
	mov %cr3, %rax
	mov %rax, %cr3
	ret
	.size drop_identity_map, . - drop_identity_map

	.type make_idt, @function
make_idt:
	mov $page_fault, %rax
	mov %ax, idt + 14 * 16(%rip)
	movw $CODE, idt + 14 * 16 + 2(%rip)
	movw $0x8e00, idt + 14 * 16 + 4(%rip)
	shr $16, %rax
	mov %ax, idt + 14 * 16 + 6(%rip)
	shr $16, %rax
	mov %eax, idt + 14 * 16 + 8(%rip)
	lidt idt_pointer(%rip)
	ret
	.size make_idt, . - make_idt

	/* Maps the 2 MiB around CR2, which lies in the first GiB of the direct map. */
	.globl page_fault
	.type page_fault, @function
page_fault:
	push %rax
	push %rdx
	mov %cr2, %rax
	shr $21, %rax
	and $511, %eax
	mov %rax, %rdx
	shl $21, %rdx
	or $0xe3, %rdx
	bts $63, %rdx
	mov %rdx, direct_directory(, %rax, 8)
	movq $direct_pointers - KERNEL_MAP + 0x63, early_root + 272 * 8(%rip)
	pop %rdx
	pop %rax
	add $8, %rsp
	iretq
	.size page_fault, . - page_fault

	.globl say
	.type say, @function
say:
	mov $message, %rsi
	mov $SERIAL, %edx
	mov $message_end - message, %ecx
1:	lodsb
	out %al, %dx
	loop 1b
	ret
	.size say, . - say

	.section .rodata
message: .ascii "two pages mapped\n"
message_end:

	.section .data
	.macro object name
	.balign 4096
	.globl \name
	.type \name, @object
	.size \name, 4096
\name:
	.endm

	object early_root
	.quad PHYSICAL(identity_pointers) + 0x63
	.fill 510, 8, 0
	.quad PHYSICAL(kernel_pointers) + 0x63
	object final_root
	.fill 272, 8, 0
	.quad PHYSICAL(direct_pointers) + 0x63
	.fill 238, 8, 0
	.quad PHYSICAL(kernel_pointers) + 0x63
	object identity_pointers
	.quad PHYSICAL(kernel_directory) + 0x63
	.fill 511, 8, 0
	object kernel_pointers
	.fill 510, 8, 0
	.quad PHYSICAL(kernel_directory) + 0x63
	.quad 0
	object kernel_directory
	.set page, 0
	.rept 16
	.quad page * 0x200000 + 0xe3
	.set page, page + 1
	.endr
	.fill 496, 8, 0
	object direct_pointers
	.quad PHYSICAL(direct_directory) + 0x63
	.fill 511, 8, 0
	object direct_directory
	.fill 512, 8, 0
	object idt
	.fill 512, 8, 0
	object stack
	.fill 512, 8, 0
stack_top:
gdt:
	.quad 0, 0, 0x00af9b000000ffff, 0x00cf93000000ffff
gdt_pointer:
	.word gdt_pointer - gdt - 1
	.quad gdt
idt_pointer:
	.word 4095
	.quad idt
