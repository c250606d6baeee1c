"""The files of every bundled model: made by ``scripts/pin_weights.py``, not by hand."""

from __future__ import annotations

from collections.abc import Mapping

from serve_app.weights.pins import Pins

PINS: Mapping[str, Pins] = {
    "PP-OCRv6_small_det": {
        "inference.onnx": "090f04abcd9d9a7498bc4ebf677e4cb9bdce1fe4197ddb7e529f1ef44e1ff94f",
        "inference.yml": "37b89d18df7e88f04f775b1e687270df35866fac65e8f1a45de7be927f4a90ca",
    },
    "PP-OCRv6_small_rec": {
        "inference.onnx": "6f327246b50388f3c176ae304bd95767ea6dc0c9ae92153ef8cbe210b3c14884",
        "inference.yml": "155a6a93809cf8d76f9cd6da21f0b4ebe225a2e0a4b18c8d8e2b28b2023649e7",
    },
    "PP-LCNet_x1_0_doc_ori": {
        "inference.onnx": "2f62c9bfb830a0b417241269fde7ef2d0ad5446c0ed2b8af33b1f6543545e8e2",
        "inference.yml": "265229f21d4cd93059d41bd85ac57cfce0caf0d129ac8671d7b64572e09d6aa2",
    },
    "PP-LCNet_x1_0_textline_ori": {
        "inference.onnx": "53e53e980e0e14aaef8eb09e69ef44f3016ab4f335d6e22dd11e1c0d9ed94e4e",
        "inference.yml": "f042cdf05fe518f6752892607b5415f8c5a7f23bbef637c1147d2ecfa4dbbd0a",
    },
    "PP-OCRv5_mobile_det": {
        "inference.onnx": "512edcfc15742becf7ac39385835ffb62d5e8b9fb1672cef5e48ad9aed51d8f7",
        "inference.yml": "2e785b04efaf8def4eb29ade1196f1525c30fca27a5eb175471697084021aa78",
    },
    "PP-OCRv5_mobile_rec": {
        "inference.onnx": "918a66be95d13d2df86a352896fe072fafa808169f011ce5bc54b5f63dd9365f",
        "inference.yml": "d65a4759306c27d8ed0d705c93c4ec5abb2b1e9ad69548921a6cc826790ee956",
    },
    "PicoDet_layout_1x": {
        "inference.onnx": "a56a35dd16d5c6ebcb5e475efa0130974bd7d670f3cb16256a30b178e553d64b",
        "inference.yml": "776f15d0736120e9d228ac510212d17524f1c2e194727e88d98779a16287111d",
    },
    "SLANet_plus": {
        "inference.pdiparams": "012986b0e2bfe90410618bfb4b7cf4fcb6c978caefd84c63c2934f8387b09ab8",
        "inference.pdmodel": "20fa2dd69e41bc75205de4db4f727c08c8d37bcae2fcc69c231517ea3afdf4ee",
        "inference.yml": "876ac8617973a33b43e3cddb0620011d57a3c1de81eb3f15751e419cf04b5d12",
    },
    "PP-OCRv4_mobile_det": {
        "inference.pdiparams": "49ee815e30cff43cb1057d33bf0d94193e4d4f1ae28451cad15b40be830df915",
        "inference.pdmodel": "2ad68ed2768fe6c41166a5bc64680cc9f445390acb6528da449a4db2f7b90e14",
        "inference.yml": "21960151a3b3d6798a1b890d4e3c2eeca498feba858033c4626f70680a75e907",
    },
    "PP-OCRv4_mobile_rec": {
        "inference.pdiparams": "a6dbfa63e7ee161688523c954e9e293f77dc24044db81e836ff9c7f103fd191a",
        "inference.pdmodel": "bf78f3898a004615e69c676259d8171bd7ae99000653b41fd72aaa36ae8bd304",
        "inference.yml": "b972829584f5c24c788a2ff0c2ecf948551a425fc8f649b93e1ed27983100e74",
    },
    "WenQuanYi_Micro_Hei": {
        "wqy-microhei.ttc": "2420e8078af796b19a3f6ef13de527a1a91c1e7171eea115926c614ced1009b3",
    },
    "PP-LCNet_x1_0_table_cls": {
        "inference.onnx": "449cd78da1b8c848ad899732de8309e2b6a9ffca051f26b1ea9bfde773ef148a",
        "inference.yml": "c84b7a10bbfa29e8ecc8407d5242740ebec7ffb83da51e73e5d394f7388127c7",
    },
    "RT-DETR-L_wired_table_cell_det": {
        "inference.onnx": "8bfca99aa3530a792dac8cd1d784661baf3ac1b5b0b232eb11ca966802c393cb",
        "inference.yml": "18e51f14d9be8569003a9fc24f0a90c09da9432244b5e335520afe0d25ba74f6",
    },
    "RT-DETR-L_wireless_table_cell_det": {
        "inference.onnx": "8bfca99aa3530a792dac8cd1d784661baf3ac1b5b0b232eb11ca966802c393cb",
        "inference.yml": "0fba7ed109f80c5ff065e266d13901266b6a0bb2ca19615d8ef611eb36871bb2",
    },
}
