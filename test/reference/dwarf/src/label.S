	.text
	.globl label
label:
	nop
inner:
	ret
	.section .init.text, "ax"
	.globl sized
	.type sized, @function
sized:
	mov $1, %eax
inside:
	ret
	.size sized, . - sized
