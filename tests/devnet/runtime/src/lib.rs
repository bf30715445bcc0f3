//! The smallest runtime that upgrades itself as Paseo does: System, Timestamp, Sudo. README.md says how the blobs differ.
#![no_std]
#![recursion_limit = "256"]
extern crate alloc;
use alloc::vec::{Vec, self};

use frame::{deps::{frame_support, frame_system, sp_runtime, sp_version}, runtime::{apis, prelude::*, types_common}};

macro_rules! version {
    ($(#[$embedded:ident])? $name:ident, system_version $system_version:tt) => {
        $(#[$embedded])?
        pub const $name: RuntimeVersion = RuntimeVersion {
            spec_name: alloc::borrow::Cow::Borrowed("devnet"),
            impl_name: alloc::borrow::Cow::Borrowed("devnet"),
            authoring_version: 1,
            spec_version: 1_000_001,
            impl_version: 0,
            apis: RUNTIME_API_VERSIONS,
            transaction_version: 1,
            system_version: $system_version,
        };
    };
}
#[cfg(not(feature = "system-version-3"))]
version!(VERSION, system_version 1);
#[cfg(feature = "system-version-3")]
version!(VERSION, system_version 3);
// What the blob says without being run. It is always 1: the executor of the tests takes this for the layout of the state, knows
// 0 and 1, and refuses a blob with another number. Running, nothing looks at it.
version!(#[runtime_version] EMBEDDED, system_version 1);

pub type Block = types_common::BlockOf<Runtime, types_common::SystemTransactionExtensionsOf<Runtime>>;
type Header = <Block as sp_runtime::traits::Block>::Header;
type RuntimeExecutive = Executive<Runtime, Block, frame_system::ChainContext<Runtime>, Runtime, AllPalletsWithSystem>;

#[frame_construct_runtime]
mod runtime {
    #[runtime::runtime]
    #[runtime::derive(
        RuntimeCall,
        RuntimeEvent,
        RuntimeError,
        RuntimeOrigin,
        RuntimeFreezeReason,
        RuntimeHoldReason,
        RuntimeSlashReason,
        RuntimeLockId,
        RuntimeTask,
        RuntimeViewFunction
    )]
    pub struct Runtime;
    #[runtime::pallet_index(0)]
    pub type System = frame_system::Pallet<Runtime>;
    #[runtime::pallet_index(1)]
    pub type Timestamp = pallet_timestamp::Pallet<Runtime>;
    #[runtime::pallet_index(2)]
    pub type Sudo = pallet_sudo::Pallet<Runtime>;
}
parameter_types! { pub const Version: RuntimeVersion = VERSION; }

#[derive_impl(frame_system::config_preludes::SolochainDefaultConfig)]
impl frame_system::Config for Runtime {
    type Block = Block;
    type Version = Version;
    type AccountData = ();
}
#[derive_impl(pallet_timestamp::config_preludes::TestDefaultConfig)]
impl pallet_timestamp::Config for Runtime {}
#[derive_impl(pallet_sudo::config_preludes::TestDefaultConfig)]
impl pallet_sudo::Config for Runtime {}

impl_runtime_apis! {
    impl apis::Core<Block> for Runtime {
        fn version() -> RuntimeVersion { VERSION }
        fn execute_block(block: <Block as sp_runtime::traits::Block>::LazyBlock) { RuntimeExecutive::execute_block(block) }
        fn initialize_block(header: &Header) -> ExtrinsicInclusionMode { RuntimeExecutive::initialize_block(header) }
    }
    impl apis::Metadata<Block> for Runtime {
        fn metadata() -> OpaqueMetadata { OpaqueMetadata::new(Runtime::metadata().into()) }
        fn metadata_at_version(version: u32) -> Option<OpaqueMetadata> { Runtime::metadata_at_version(version) }
        fn metadata_versions() -> Vec<u32> { Runtime::metadata_versions() }
    }
    impl apis::BlockBuilder<Block> for Runtime {
        fn apply_extrinsic(extrinsic: <Block as sp_runtime::traits::Block>::Extrinsic) -> ApplyExtrinsicResult { RuntimeExecutive::apply_extrinsic(extrinsic) }
        fn finalize_block() -> Header { RuntimeExecutive::finalize_block() }
        fn inherent_extrinsics(data: InherentData) -> Vec<<Block as sp_runtime::traits::Block>::Extrinsic> { data.create_extrinsics() }
        fn check_inherents(block: <Block as sp_runtime::traits::Block>::LazyBlock, data: InherentData) -> CheckInherentsResult { data.check_extrinsics(&block) }
    }
}
