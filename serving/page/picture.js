/** Picture files: media type, upright pixels, and smaller copies. Nothing is stored. */

/**
 * Default limits of the server; above them the page offers to scale down. The server decodes a JPEG above
 * `pixels` and up to `reducedPixels` at a reduced scale; a copy made here stays within `pixels`.
 */
export const LIMIT = { bytes: 25_000_000, pixels: 25_000_000, reducedPixels: 65_000_000 };

const JPEG_QUALITY = 0.93;
const LEAST_PIXELS = 10_000;

const HEIC_BRANDS = ["heic", "heix", "heim", "heis"];

/** Media type by the first 132 bytes, as the server detects it; null for a format that it does not accept. */
export function kindOf(bytes) {
  const starts = (...values) => values.every((value, k) => bytes[k] === value);
  if (starts(0xff, 0xd8, 0xff)) return "image/jpeg";
  if (starts(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a)) return "image/png";
  const text = (start, end) => String.fromCharCode(...bytes.slice(start, end));
  if (text(128, 132) === "DICM") return "application/dicom";
  if (text(4, 8) === "ftyp") {
    const brands = text(8, Math.min(bytes[3], 132)).match(/.{4}/gs) ?? [];
    if (HEIC_BRANDS.includes(brands[0])) return "image/heic";
    if (["mif1", "msf1"].includes(brands[0]) && brands.some((brand) => HEIC_BRANDS.includes(brand))) return "image/heic";
  }
  return null;
}

/** True if a picture is above the server's default limits. */
export function tooLarge({ blob, type, bitmap }) {
  const most = type === "image/jpeg" ? LIMIT.reducedPixels : LIMIT.pixels;
  return blob.size > LIMIT.bytes || Boolean(bitmap && bitmap.width * bitmap.height > most);
}

/**
 * Open a file.
 *
 * @returns {{blob: Blob, type: ?string, bitmap: ?ImageBitmap}} `bitmap` is upright (the EXIF orientation is
 *   applied, as the server does), null if this browser cannot decode the file.
 */
export async function open(blob) {
  const type = kindOf(new Uint8Array(await blob.slice(0, 132).arrayBuffer()));
  let bitmap = null;
  try {
    bitmap = await createImageBitmap(blob); // by default it applies the EXIF orientation
  } catch {
    // The file is damaged or not a picture; the caller handles that.
  }
  return { blob, type, bitmap };
}

/** Width and height scaled to at most a number of pixels. */
export function fitted(width, height, pixels) {
  const factor = Math.min(1, Math.sqrt(pixels / (width * height)));
  return { width: Math.max(1, Math.floor(width * factor)), height: Math.max(1, Math.floor(height * factor)) };
}

/**
 * Encode a picture as an upright JPEG within the limits.
 *
 * @returns {{blob: Blob, type: string, bitmap: ImageBitmap, factor: number}} `factor`: its width over the
 *   width before.
 * @throws {Error} if the copy would be too small to measure, or the browser lacks memory.
 */
export async function redraw(bitmap, { bytes, pixels }) {
  let size = fitted(bitmap.width, bitmap.height, pixels);
  for (;;) {
    const blob = await encoded(bitmap, size);
    if (blob.size <= bytes) {
      const smaller = await createImageBitmap(blob);
      return { blob, type: "image/jpeg", bitmap: smaller, factor: size.width / bitmap.width };
    }
    if (size.width * size.height < LEAST_PIXELS) throw new Error("The limit is too small for a picture.");
    size = fitted(bitmap.width, bitmap.height, size.width * size.height * 0.7);
  }
}

async function encoded(bitmap, { width, height }) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d", { alpha: false });
  context.fillStyle = "#fff"; // background of transparent pixels
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, width, height);
  return jpeg(canvas);
}

/** Encode a canvas as a JPEG. */
export function jpeg(canvas) {
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("not enough memory for the picture"))), "image/jpeg", JPEG_QUALITY);
  });
}
