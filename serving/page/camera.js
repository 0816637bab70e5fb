/** Dialog that takes a photograph with the camera. */

import { byId } from "./dom.js";
import { jpeg } from "./picture.js";

/** True if the browser allows a page to use a camera: only over HTTPS or from the same machine. */
export const available = () => Boolean(navigator.mediaDevices?.getUserMedia);

/**
 * Let the person take a photograph.
 *
 * @returns {Promise<?Blob>} an unmirrored JPEG; null if the dialog was cancelled.
 * @throws {DOMException} if there is no camera, or its use is not allowed.
 */
export async function photograph() {
  const stream = await navigator.mediaDevices.getUserMedia({
    video: { facingMode: "user", width: { ideal: 1920 }, height: { ideal: 1080 } },
    audio: false,
  });
  const [dialog, video, shoot] = ["camera", "viewfinder", "shoot"].map(byId);
  const answer = answerOf(dialog, video, shoot);
  try {
    video.srcObject = stream;
    dialog.showModal();
    await video.play();
    shoot.disabled = false;
    shoot.focus();
    return await answer;
  } finally {
    for (const track of stream.getTracks()) track.stop();
    video.srcObject = null;
    shoot.disabled = true;
    dialog.close();
  }
}

function answerOf(dialog, video, shoot) {
  return new Promise((resolve, reject) => {
    shoot.onclick = () => {
      const canvas = document.createElement("canvas");
      canvas.width = video.videoWidth;
      canvas.height = video.videoHeight;
      canvas.getContext("2d", { alpha: false }).drawImage(video, 0, 0);
      jpeg(canvas).then(resolve, reject);
    };
    byId("camera-close").onclick = () => resolve(null);
    dialog.oncancel = () => resolve(null);
  });
}
