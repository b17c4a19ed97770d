"""Writes tests/parity/picture: small pictures and what Pillow and transformers make of them.

    pip install -r tests/parity/picture_requirements.txt && python tests/parity/picture_reference.py

decode.tsv      file, height, width, SHA-256 of the RGB bytes (upright, convert("RGB"))
resize.tsv      from height and width, to height and width, SHA-256 (16 digits) of bilinear, bicubic and nearest; the
                source is noise(line number), which the test makes too
preprocess.tsv  name, kind (hf, timm), picture, height, width, SHA-256 of the bytes; name.json is the configuration,
                name.f32 the tensor [3, height, width] where it is small
"""
import hashlib
import io
import json
import math
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from transformers.models.deit.image_processing_pil_deit import DeiTImageProcessorPil
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

OUT = Path(__file__).resolve().parent / "picture"
LARGEST_TENSOR = 3 * 40 * 40


def noise(seed, height, width, channels=3):
    v = np.arange(height * width * channels, dtype=np.uint32) * np.uint32(0x9E3779B1) + np.uint32(seed)
    v ^= v >> 15
    v *= np.uint32(0x85EBCA6B)
    v ^= v >> 13
    return (v >> 24).astype(np.uint8).reshape(height, width, channels)


def scene(height, width):
    """Something smooth with edges, as a photograph is."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    red = 255 * x / max(1, width - 1)
    green = 127 + 120 * np.sin(x / 7.0) * np.cos(y / 5.0)
    blue = np.where((x - width / 3) ** 2 + (y - height / 2) ** 2 < (height / 3) ** 2, 230, 255 * y / max(1, height - 1))
    return np.stack([red, green, blue], -1).clip(0, 255).astype(np.uint8)


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def packed(samples, depth):
    """Rows of samples [rows, columns, channels] as PNG stores them, without filters."""
    rows = []
    for row in samples.reshape(samples.shape[0], -1):
        if depth == 16:
            rows.append(b"\0" + row.astype(">u2").tobytes())
        elif depth == 8:
            rows.append(b"\0" + row.astype(np.uint8).tobytes())
        else:
            bits = ((row[:, None] >> np.arange(depth - 1, -1, -1)) & 1).astype(np.uint8).ravel()
            rows.append(b"\0" + np.packbits(bits).tobytes())
    return b"".join(rows)


def png(samples, depth, colour, before=b"", after=b"", interlaced=False):
    height, width = samples.shape[:2]
    if interlaced:
        passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
        parts = [samples[y::dy, x::dx] for y, x, dy, dx in passes]
        data = b"".join(packed(part, depth) for part in parts if part.size)
    else:
        data = packed(samples, depth)
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, int(interlaced))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + before + chunk(b"IDAT", zlib.compress(data, 9)) + after
            + chunk(b"IEND", b""))


def tiff(orientation, little):
    order = "<" if little else ">"
    entries = [(0x010F, 2, 4, b"abc\0"), (0x0112, 3, 1, struct.pack(order + "HH", orientation, 0))]
    body = b"".join(struct.pack(order + "HHI", *entry[:3]) + entry[3] for entry in entries)
    return (b"II*\0" if little else b"MM\0*") + struct.pack(order + "IH", 8, len(entries)) + body + b"\0\0\0\0"


def jpeg(pixels, mode=None, **options):
    out = io.BytesIO()
    image = Image.fromarray(pixels) if mode is None else Image.frombytes(mode, (pixels.shape[1], pixels.shape[0]), pixels.tobytes())
    image.save(out, "JPEG", **{"quality": 85, **options})
    return out.getvalue()


def without_adobe(data):
    at = data.index(b"\xff\xee")
    return data[:at] + data[at + 2 + struct.unpack(">H", data[at + 2:at + 4])[0]:]


def as_ycck(data):
    at = data.index(b"Adobe", data.index(b"\xff\xee"))
    return data[:at + 11] + b"\x02" + data[at + 12:]


def jpegs():
    picture = scene(45, 61)
    files = {
        "444.jpg": jpeg(picture, subsampling=0), "422.jpg": jpeg(picture, subsampling=1), "420.jpg": jpeg(picture, subsampling=2),
        "low_quality.jpg": jpeg(picture, quality=12), "progressive.jpg": jpeg(picture, progressive=True),
        "progressive_444.jpg": jpeg(picture, progressive=True, subsampling=0), "optimized.jpg": jpeg(picture, optimize=True),
        "restarts.jpg": jpeg(picture, restart_marker_blocks=2), "rgb.jpg": jpeg(picture, keep_rgb=True),
        "grey.jpg": jpeg(picture[..., 1].copy()), "grey_progressive.jpg": jpeg(picture[..., 1].copy(), progressive=True),
        "one.jpg": jpeg(picture[:1, :1]), "row.jpg": jpeg(picture[:1, :33]), "column.jpg": jpeg(picture[:29, :1]),
        "larger.jpg": jpeg(scene(150, 203), quality=75),
        "noise.jpg": jpeg(noise(7, 31, 43), quality=60),
    }
    inks = noise(3, 19, 27, 4) // 4 * 3
    cmyk = jpeg(inks, "CMYK", quality=90)
    files |= {"cmyk.jpg": cmyk, "cmyk_unmarked.jpg": without_adobe(cmyk), "ycck.jpg": as_ycck(cmyk)}
    for orientation in range(0, 10):
        files[f"exif{orientation}.jpg"] = jpeg(scene(13, 21), exif=b"Exif\0\0" + tiff(orientation, orientation % 2 == 1))
    files["exif6_cmyk.jpg"] = jpeg(inks, "CMYK", exif=b"Exif\0\0" + tiff(6, True))
    return files | damaged_jpegs(scene(29, 41))


def segment(marker, data):
    return marker + struct.pack(">H", len(data) + 2) + data


def damaged_jpegs(picture):
    """What loads all the same, and orientations in other places."""
    plain, restarts = jpeg(picture), jpeg(picture, restart_marker_blocks=2)
    lost = restarts.index(b"\xff\xd1")
    block, xmp = tiff(6, True), b"http://ns.adobe.com/xap/1.0/\0<x tiff:Orientation=\"8\"/>"
    exif = lambda data: segment(b"\xff\xe1", b"Exif\0\0" + data)
    head = lambda *parts: plain[:2] + b"".join(parts) + plain[2:]
    return {
        "restart_lost.jpg": restarts[:lost] + restarts[lost + 2:], "no_end_but_more.jpg": plain[:-2] + b"more" * 20,
        "exif_two_first_empty.jpg": head(exif(b""), exif(block)), "exif_in_two.jpg": head(exif(block[:20]), exif(block[20:])),
        "xmp8.jpg": head(segment(b"\xff\xe1", xmp)), "exif6_before_xmp8.jpg": head(segment(b"\xff\xe1", xmp), exif(block)),
        "exif6_of_two.jpg": head(exif(block[:22] + struct.pack("<HHIHH", 0x0112, 3, 2, 6, 3) + block[34:])),
    }


def pngs():
    rgb, alpha = scene(22, 37), noise(9, 22, 37, 1)
    values = noise(4, 11, 19, 1).astype(np.uint16)
    wide = (np.arange(22 * 37 * 4, dtype=np.uint32) * 40503 % 65536).astype(np.uint16).reshape(22, 37, 4)
    palette = noise(5, 1, 16).tobytes()
    files = {
        "rgb.png": png(rgb, 8, 2), "rgba.png": png(np.concatenate([rgb, alpha], -1), 8, 6), "rgb16.png": png(wide[..., :3], 16, 2),
        "rgba16.png": png(wide, 16, 6), "grey_alpha.png": png(np.concatenate([rgb[..., :1], alpha], -1), 8, 4),
        "grey_alpha16.png": png(wide[..., :2], 16, 4), "rgb_trns.png": png(rgb, 8, 2, chunk(b"tRNS", b"\0\1\0\2\0\3")),
        "grey_trns.png": png(values, 8, 0, chunk(b"tRNS", b"\0\7")),
        "palette_short.png": png(values % 20, 8, 3, chunk(b"PLTE", palette)),
        "gamma.png": png(rgb, 8, 2, chunk(b"gAMA", struct.pack(">I", 100000)) + chunk(b"sBIT", b"\5\6\5")),
        "exif8_before.png": png(rgb, 8, 2, before=chunk(b"eXIf", tiff(8, True))),
        "exif5_after.png": png(rgb, 8, 2, after=chunk(b"eXIf", tiff(5, False))),
        "one.png": png(rgb[:1, :1], 8, 2), "one_interlaced.png": png(rgb[:1, :1], 8, 2, interlaced=True),
        "interlaced_rgb.png": png(rgb, 8, 2, interlaced=True), "interlaced_rgba16.png": png(wide, 16, 6, interlaced=True),
    }
    for depth in (1, 2, 4, 8):
        low = values % (1 << depth)
        files[f"grey{depth}.png"] = png(low, depth, 0)
        files[f"interlaced_grey{depth}.png"] = png(low, depth, 0, interlaced=True)
        colours = chunk(b"PLTE", palette[:3 * min(16, 1 << depth)])
        files[f"palette{depth}.png"] = png(low % 16, depth, 3, colours)
        files[f"palette{depth}_trns.png"] = png(low % 16, depth, 3, colours + chunk(b"tRNS", b"\x00\x80"))
    out = io.BytesIO()
    Image.fromarray(scene(40, 56)).save(out, "PNG", optimize=True)  # adaptive row filters
    xmp, raw = b"<x tiff:Orientation=\"6\"/>", b"\nexif\n  46\n" + tiff(7, False).hex().encode()
    plain = files["rgb.png"]
    return files | {
        "filters.png": out.getvalue(), "no_end.png": plain[:-12], "cut_end.png": plain[:-6], "cut_sum.png": plain[:-15],
        "xmp6.png": png(rgb, 8, 2, before=chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp)),
        "xmp6_packed.png": png(rgb, 8, 2, after=chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(xmp))),
        "raw_profile7.png": png(rgb, 8, 2, before=chunk(b"tEXt", b"Raw profile type exif\0" + raw)),
        "raw_profile7_packed.png": png(rgb, 8, 2, before=chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(raw))),
        "exif3_prefixed.png": png(rgb, 8, 2, before=chunk(b"eXIf", b"Exif\0\0" + tiff(3, True))),
    }


def upright(data):
    return np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))


def sha(pixels):
    return hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest()


def write_decoded():
    lines = []
    for name, data in (jpegs() | pngs()).items():
        (OUT / name).write_bytes(data)
        pixels = upright(data)
        lines.append(f"{name}\t{pixels.shape[0]}\t{pixels.shape[1]}\t{sha(pixels)}")
    values = (np.arange(22 * 37, dtype=np.uint32) * 40503 % 65536).astype(np.uint16).reshape(22, 37, 1)
    for name, interlaced in (("grey16.png", False), ("interlaced_grey16.png", True)):
        data = png(values, 16, 0, interlaced=interlaced)
        (OUT / name).write_bytes(data)
        pixels = upright(data)
        assert (pixels == np.repeat(np.minimum(values, 255), 3, -1)).all(), "Pillow no longer clips"
        lines.append(f"{name}\t22\t37\t{sha(pixels)}")
    (OUT / "decode.tsv").write_text("\n".join(lines) + "\n")


def sizes():
    """1,000 pairs: sides spread evenly in the logarithm, one-pixel sides, unchanged sides, extreme ratios."""
    random = np.random.Generator(np.random.PCG64(20))
    side = lambda most: int(np.exp(random.uniform(0, np.log(most + 1)))) or 1
    for i in range(1000):
        a = [side(260) for _ in range(4)]
        if i % 10 == 1:
            a[int(random.integers(4))] = 1
        if i % 10 == 2:
            a[2] = a[0]
        if i % 10 == 3:
            a[3] = a[1]
        if i % 50 == 4:
            a = [side(3000), side(4), side(4), side(900)]
        if i % 50 == 5:
            a = [side(4), side(3000), side(900), side(4)]
        if i % 50 == 6:
            a = [side(600), side(600), 224, 224]
        yield a


def write_resized():
    filters = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.NEAREST)
    lines = []
    for i, (h, w, to_h, to_w) in enumerate(sizes()):
        source = Image.fromarray(noise(i, h, w))
        hashes = "\t".join(sha(np.asarray(source.resize((to_w, to_h), f)))[:16] for f in filters)
        lines.append(f"{h}\t{w}\t{to_h}\t{to_w}\t{hashes}")
    (OUT / "resize.tsv").write_text("\n".join(lines) + "\n")


IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
HF = {  # name: picture, configuration
    "vit_defaults": ("larger.jpg", {"image_processor_type": "ViTImageProcessor"}),
    "deit_defaults": ("larger.jpg", {"image_processor_type": "DeiTImageProcessor"}),
    "vit_published": ("larger.jpg", {"do_normalize": True, "do_resize": True, "image_mean": [0.5] * 3, "image_std": [0.5] * 3, "size": 224}),
    "deit_published": ("larger.jpg", {"crop_size": 224, "do_center_crop": True, "do_normalize": True, "do_resize": True,
                                      "feature_extractor_type": "DeiTFeatureExtractor", "resample": 3, "size": 256, **IMAGENET}),
    "vit_small": ("420.jpg", {"image_processor_type": "ViTImageProcessor", "size": {"height": 32, "width": 24}, **IMAGENET}),
    "vit_bicubic": ("444.jpg", {"image_processor_type": "ViTImageProcessorFast", "size": {"height": 30, "width": 40}, "resample": 3}),
    "vit_nearest": ("444.jpg", {"image_processor_type": "ViTImageProcessor", "size": 17, "resample": 0}),
    "vit_list": ("noise.jpg", {"image_processor_type": "ViTImageProcessor", "size": [9, 33], "resample": 2}),
    "scalar_mean": ("exif6.jpg", {"image_processor_type": "ViTImageProcessor", "size": 16, "image_mean": 0.25, "image_std": 0.125}),
    "no_rescale": ("rgb.png", {"image_processor_type": "ViTImageProcessor", "size": 16, "do_rescale": False,
                               "image_mean": [120.0, 110.5, 99.0], "image_std": [60.0, 58.5, 57.0]}),
    "other_rescale": ("rgb.png", {"image_processor_type": "ViTImageProcessor", "size": 16, "rescale_factor": 0.0078431372549, "do_normalize": False}),
    "no_normalize": ("rgb.png", {"image_processor_type": "ViTImageProcessor", "size": 16, "do_normalize": False}),
    "no_resize": ("rgb.png", {"image_processor_type": "ViTImageProcessor", "do_resize": False, **IMAGENET}),
    "shortest_wide": ("444.jpg", {"image_processor_type": "ViTImageProcessor", "size": {"shortest_edge": 19}, "resample": 3}),
    "shortest_tall": ("exif6.jpg", {"image_processor_type": "ViTImageProcessor", "size": {"shortest_edge": 17}}),
    "both_edges": ("444.jpg", {"image_processor_type": "ViTImageProcessor", "size": {"shortest_edge": 30, "longest_edge": 37}}),
    "both_edges_loose": ("444.jpg", {"image_processor_type": "ViTImageProcessor", "size": {"shortest_edge": 20, "longest_edge": 100}}),
    "crop_odd": ("444.jpg", {"image_processor_type": "DeiTImageProcessor", "size": {"shortest_edge": 31}, "crop_size": {"height": 20, "width": 28}}),
    "crop_pads": ("444.jpg", {"image_processor_type": "DeiTImageProcessor", "size": {"height": 15, "width": 18}, "crop_size": 27, **IMAGENET}),
    "crop_pads_tall": ("444.jpg", {"image_processor_type": "DeiTImageProcessor", "size": {"height": 35, "width": 18}, "crop_size": {"height": 24, "width": 25}}),
}
TIMM = {
    "timm_center": ("larger.jpg", {"input_size": [3, 32, 32], "interpolation": "bicubic", "crop_pct": 0.9, "mean": [0.5] * 3, "std": [0.5] * 3}),
    "timm_odd": ("larger.jpg", {"input_size": [3, 31, 31], "interpolation": "bilinear", "crop_pct": 0.875, "crop_mode": "center"}),
    "timm_squash": ("444.jpg", {"input_size": [3, 24, 24], "interpolation": "bicubic", "crop_pct": 1.0, "crop_mode": "squash"}),
    "timm_tall": ("exif6.jpg", {"input_size": [3, 33, 33], "interpolation": "bicubic", "crop_pct": 0.95}),
}


def hf(pixels, config):
    make = DeiTImageProcessorPil if str(config).find("DeiT") >= 0 else ViTImageProcessorPil
    processor = make(**{k: v for k, v in config.items() if not k.endswith("_type")})
    image = Image.fromarray(pixels)
    plain = processor(image, do_rescale=False, do_normalize=False)["pixel_values"][0]
    return np.moveaxis(plain, 0, -1).astype(np.uint8), np.asarray(processor(image)["pixel_values"][0], dtype=np.float32)


def timm(pixels, config):
    """timm's evaluation transform by its rules: floor(input / crop_pct), torchvision's crop, ToTensor, Normalize."""
    image, side = Image.fromarray(pixels), config["input_size"][1]
    edge, (w, h) = math.floor(side / config["crop_pct"]), image.size
    size = (edge, edge) if config.get("crop_mode") == "squash" else (edge, int(edge * h / w)) if w <= h else (int(edge * w / h), edge)
    image = image.resize(size, {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}[config["interpolation"]])
    left, top = int(round((image.width - side) / 2)), int(round((image.height - side) / 2))
    plain = np.asarray(image.crop((left, top, left + side, top + side)))
    mean, std = (np.float32(config.get(k, d)) for k, d in (("mean", IMAGENET["image_mean"]), ("std", IMAGENET["image_std"])))
    return plain, np.moveaxis((plain.astype(np.float32) / np.float32(255) - mean) / std, -1, 0)


def write_preprocessed():
    lines = []
    for kind, run, cases in (("hf", hf, HF), ("timm", timm, TIMM)):
        for name, (picture, config) in cases.items():
            plain, tensor = run(upright((OUT / picture).read_bytes()), config)
            file = config if kind == "hf" else {"architecture": "vit_tiny_patch16_224", "num_classes": 10, "pretrained_cfg": config}
            (OUT / f"{name}.json").write_text(json.dumps(file) + "\n")
            if tensor.size <= LARGEST_TENSOR:
                (OUT / f"{name}.f32").write_bytes(np.ascontiguousarray(tensor, dtype="<f4").tobytes())
            lines.append(f"{name}\t{kind}\t{picture}\t{plain.shape[0]}\t{plain.shape[1]}\t{sha(plain)}")
    (OUT / "preprocess.tsv").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    OUT.mkdir(exist_ok=True)
    write_decoded()
    write_resized()
    write_preprocessed()
    total = sum(file.stat().st_size for file in OUT.iterdir())
    print(f"{OUT.name}: {len(list(OUT.iterdir()))} files, {total} bytes")
    assert total < 400_000
