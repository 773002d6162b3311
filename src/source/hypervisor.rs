//! Which hypervisor does the CPU itself name?
//!
//! A guest without firmware tables (a microVM) says so nowhere else. Only x86 has the question.
//!
//! Source: `Documentation/virt/kvm/x86/cpuid.rst`, CPUID leaf 0x40000000.

/// Signatures, and the hypervisors that they stand for.
const SIGNATURES: [(&[u8; 12], &str); 9] = [
    (b"KVMKVMKVM\0\0\0", "kvm"),
    (b"Linux KVM Hv", "kvm"),
    (b"TCGTCGTCGTCG", "qemu"),
    (b"VMwareVMware", "vmware"),
    (b"Microsoft Hv", "hyper-v"),
    (b"XenVMMXenVMM", "xen"),
    (b"bhyve bhyve ", "bhyve"),
    (b"ACRNACRNACRN", "acrn"),
    (b" lrpepyh  vr", "parallels"),
];

/// Name of the hypervisor below this guest; `None` for one that is not known, and on other architectures. To be asked
/// only on a CPU that has the flag `hypervisor`: others answer with something else.
#[cfg(target_arch = "x86_64")]
pub fn named_by_cpu() -> Option<&'static str> {
    let leaf = std::arch::x86_64::__cpuid(0x4000_0000);
    let mut signature = [0; 12];
    for (to, from) in signature.chunks_exact_mut(4).zip([leaf.ebx, leaf.ecx, leaf.edx]) {
        to.copy_from_slice(&from.to_le_bytes());
    }
    name(&signature)
}

/// Other architectures have no such question.
#[cfg(not(target_arch = "x86_64"))]
pub fn named_by_cpu() -> Option<&'static str> {
    name(&[0; 12])
}

fn name(signature: &[u8; 12]) -> Option<&'static str> {
    SIGNATURES.iter().find(|(known, _)| *known == signature).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_have_names_and_strangers_none() {
        assert_eq!(name(b"KVMKVMKVM\0\0\0"), Some("kvm"));
        assert_eq!(name(b"Microsoft Hv"), Some("hyper-v"));
        assert_eq!(name(&[0; 12]), None);
    }
}
